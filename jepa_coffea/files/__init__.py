"""Files: written whole or not at all, sealed by a hash, named by any text, found by globs, told apart by content."""

from jepa_coffea.files.hashes import NUMERICAL, bytes_hash, digest, file_hash, versions
from jepa_coffea.files.names import find_files, printable, quoted, unquoted, unreadable
from jepa_coffea.files.sealed import (
    read_sealed,
    sealed_document,
    sealed_line,
    unsealed_document,
    unsealed_line,
    write_sealed,
)
from jepa_coffea.files.writing import (
    PARTIAL,
    replacing,
    storage_problem,
    synchronise_folder,
    write_bytes,
    write_text,
    writing,
)

__all__ = [
    "NUMERICAL",
    "PARTIAL",
    "bytes_hash",
    "digest",
    "file_hash",
    "find_files",
    "printable",
    "quoted",
    "read_sealed",
    "replacing",
    "sealed_document",
    "sealed_line",
    "storage_problem",
    "synchronise_folder",
    "unquoted",
    "unreadable",
    "unsealed_document",
    "unsealed_line",
    "versions",
    "write_bytes",
    "write_sealed",
    "write_text",
    "writing",
]
