"""SHA-256 of bytes, files and plain values."""

import hashlib

from atlas.files.digests import canonical_json, fingerprint, sha256_bytes, sha256_file


def test_digests_are_those_of_the_standard(tmp_path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "a").write_bytes(b"")
    assert sha256_bytes(b"") == sha256_file(tmp_path / "a") == empty


def test_canonical_json_sorts_keys_and_has_no_spaces() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"ö": "x y"}}
    assert canonical_json(value) == '{"a":{"\\u00f6":"x y"},"b":[1,2.5,null,true]}'
    assert canonical_json((1, 2)) == canonical_json([1, 2])


def test_fingerprint_is_sha256_of_the_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
    assert fingerprint({"b": 2, "a": 1}) == fingerprint({"a": 1, "b": 2}) == expected
    assert fingerprint({"a": 1, "b": 3}) != expected
