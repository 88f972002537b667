# SPDX-License-Identifier: Apache-2.0
"""datasets and transformers against the hub of HF_ENDPOINT; run by test_tools.py in their own environment.

HF_ENDPOINT, HF_HOME, HF_TOKEN. Prints "libraries: done" when nothing lied.
"""

import io
import json

from huggingface_hub import HfApi

api = HfApi()
USER = api.whoami()["name"]


def data_sets():
    import datasets

    repo = f"{USER}/lib-data"
    api.create_repo(repo, repo_type="dataset", private=True)
    rows = [{"n": i, "text": f"row {i}"} for i in range(2000)]
    lines = "".join(json.dumps(r) + "\n" for r in rows).encode()
    api.upload_file(path_or_fileobj=io.BytesIO(lines), path_in_repo="data/train.jsonl", repo_id=repo, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"n,text\n1,one\n2,two\n", path_in_repo="data/test.csv", repo_id=repo,
                    repo_type="dataset")
    train = datasets.load_dataset(repo, data_files={"train": "data/train.jsonl"}, split="train")
    assert train.to_list() == rows
    streamed = datasets.load_dataset(repo, data_files="data/test.csv", split="train", streaming=True)
    assert [r["text"] for r in streamed] == ["one", "two"]

    pushed = f"{USER}/lib-pushed"
    datasets.DatasetDict({"train": train, "test": train.select(range(10))}).push_to_hub(pushed, private=True)
    assert any(f.endswith(".parquet") for f in api.list_repo_files(pushed, repo_type="dataset"))
    again = datasets.load_dataset(pushed)
    assert again["train"].to_list() == rows and len(again["test"]) == 10
    assert datasets.get_dataset_split_names(pushed) == ["train", "test"]
    first = next(iter(datasets.load_dataset(pushed, split="train", streaming=True)))
    assert first == rows[0]


def transformer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoTokenizer, BertConfig, PreTrainedTokenizerFast

    repo = f"{USER}/lib-model"
    vocab = {w: i for i, w in enumerate(["[UNK]", "[PAD]", "[CLS]", "[SEP]", "hello", "world"])}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]")
    made.push_to_hub(repo, private=True)
    BertConfig(vocab_size=6, hidden_size=8, num_attention_heads=2, num_hidden_layers=1).push_to_hub(repo)
    config = AutoConfig.from_pretrained(repo)
    assert (config.model_type, config.hidden_size) == ("bert", 8)
    tok = AutoTokenizer.from_pretrained(repo)
    assert tok("hello world nobody")["input_ids"] == [4, 5, 0]
    assert AutoTokenizer.from_pretrained(repo, revision="main", local_files_only=True).pad_token == "[PAD]"
    assert api.model_info(repo).private


data_sets()
transformer()
print("libraries: done")
