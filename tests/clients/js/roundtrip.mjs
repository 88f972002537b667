// SPDX-License-Identifier: Apache-2.0
// The stock JavaScript client against the hub of HUB_URL with HUB_TOKEN: exits non-zero on the first lie.
// USE_XET=1: large files travel by Xet, both ways.
import assert from "node:assert/strict";
import {
  commit, createRepo, deleteRepo, downloadFile, fileDownloadInfo, fileExists, listCommits, listFiles, listModels,
  modelInfo, repoExists, uploadFiles, whoAmI,
} from "@huggingface/hub";

const hubUrl = process.env.HUB_URL;
const accessToken = process.env.HUB_TOKEN;
const useXet = process.env.USE_XET === "1";
const repo = { type: "model", name: "ada/from-js" };
const to = { hubUrl, accessToken, repo };

const me = await whoAmI({ hubUrl, accessToken });
assert.equal(me.name, "ada");
assert.equal(me.type, "user");

await createRepo({ hubUrl, accessToken, repo, private: false });
assert.equal(await repoExists(to), true);

const big = new Uint8Array(11_000_000).map((_, i) => (i * 2654435761) >>> 24);
await uploadFiles({
  ...to,
  useXet,
  files: [
    { path: "notes/hello wörld.txt", content: new Blob(["hello\n"]) },
    { path: "weights.bin", content: new Blob([big]) },
  ],
});
const paths = [];
for await (const f of listFiles({ ...to, recursive: true })) if (f.type === "file") paths.push(f.path);
assert.deepEqual(paths.sort(), [".gitattributes", "notes/hello wörld.txt", "weights.bin"]);

assert.equal(await fileExists({ ...to, path: "weights.bin" }), true);
assert.equal(await fileExists({ ...to, path: "nothing.bin" }), false);
const info = await fileDownloadInfo({ ...to, path: "weights.bin" });
assert.equal(info.size, big.length);
assert.equal(info.xet !== undefined, useXet);
const blob = await downloadFile({ ...to, path: "weights.bin" });
assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), big);
const part = await (await downloadFile({ ...to, path: "weights.bin" })).slice(1_000_000, 1_000_010).arrayBuffer();
assert.deepEqual(new Uint8Array(part), big.slice(1_000_000, 1_000_010));

if (useXet) {
  const plain = await fetch(`${hubUrl}/ada/from-js/resolve/main/weights.bin`, { headers: { authorization: `Bearer ${accessToken}` } });
  assert.deepEqual(new Uint8Array(await plain.arrayBuffer()), big);
  const again = new Uint8Array(big.length + 1);
  again.set(big, 1);
  await uploadFiles({ ...to, useXet, files: [{ path: "shifted.bin", content: new Blob([again]) }] });
  const moved = await downloadFile({ ...to, path: "shifted.bin" });
  assert.deepEqual(new Uint8Array(await moved.arrayBuffer()), again);
}

await commit({ ...to, useXet, title: "drop", operations: [{ operation: "delete", path: "notes/hello wörld.txt" }] });
const titles = [];
for await (const c of listCommits(to)) titles.push(c.title);
assert.equal(titles[0], "drop");
assert.equal(titles.at(-1), "initial commit");

const model = await modelInfo({ hubUrl, accessToken, name: "ada/from-js" });
assert.equal(model.name, "ada/from-js");
const found = [];
for await (const m of listModels({ hubUrl, accessToken, search: { owner: "ada", query: "from-js" } })) found.push(m.name);
assert.deepEqual(found, ["ada/from-js"]);

await deleteRepo(to);
assert.equal(await repoExists(to), false);
console.log("round trip complete");
