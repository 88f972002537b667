// SPDX-License-Identifier: Apache-2.0
// Sends every file of FOLDER to REPO, then fetches every file of REPO into GOT. USE_XET=1: by Xet.
import { createWriteStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { openAsBlob } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { downloadFile, listFiles, uploadFiles } from "@huggingface/hub";

const useXet = process.env.USE_XET === "1";
const to = {
  hubUrl: process.env.HUB_URL, accessToken: process.env.HUB_TOKEN, repo: { type: "model", name: process.env.REPO },
};
const files = [];
for (const name of await readdir(process.env.FOLDER)) {
  files.push({ path: name, content: await openAsBlob(`${process.env.FOLDER}/${name}`) });
}
await uploadFiles({ ...to, useXet, files });
await mkdir(process.env.GOT, { recursive: true });
for await (const f of listFiles({ ...to, recursive: true })) {
  if (f.type !== "file" || f.path.startsWith(".")) continue;
  const blob = await downloadFile({ ...to, path: f.path, xet: useXet });
  await pipeline(Readable.fromWeb(blob.stream()), createWriteStream(`${process.env.GOT}/${f.path}`));
}
console.log("done");
