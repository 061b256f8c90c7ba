"""The measurement table: what is read, what is refused and why, and that no row gets lost."""

import gzip
import re
from dataclasses import replace

import pytest

from nas_ray.errors import DeviceError
from nas_ray.measure.table import (
    Row,
    append_rows,
    pack,
    parse_table,
    read_table,
    read_text,
    table_path,
    unpack,
)

HEADER = "signature,latency_ms,peak_memory_bytes,weight_bytes,macs"
FIRST = "1x3x8x8; conv 0 > 1x4x8x8 w=12 m=768"
SECOND = "1x4x8x8 1x4x8x8; add 0,1 > 1x4x8x8"
LINES = f'{FIRST},0.5,448,12,768\n"{SECOND}",0.25,768,0,0\n'
ROWS = (
    Row(signature=FIRST, latency_ms=0.5, peak_memory_bytes=448, weight_bytes=12, macs=768),
    Row(signature=SECOND, latency_ms=0.25, peak_memory_bytes=768, weight_bytes=0, macs=0),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "measurements.csv"


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_come_in_the_order_of_their_lines(path):
    assert read_table(written(path, f"{HEADER}\n{LINES}")) == ROWS


def test_columns_may_stand_in_any_order_beside_others(path):
    text = (
        f"macs,note,signature,weight_bytes,latency_ms,peak_memory_bytes\n768,x,{FIRST},12,0.5,448\n"
    )
    assert read_table(written(path, text)) == ROWS[:1]


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_refused_by_its_name(path, column):
    header = ",".join(c for c in HEADER.split(",") if c != column)
    with pytest.raises(DeviceError, match=f"column '{column}' is missing"):
        parse_table(f"{header}\n", path)


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("latency_ms", "latency_us"),
        ("latency_ms", "latency_s"),
        ("peak_memory_bytes", "peak_memory_kb"),
        ("weight_bytes", "weight_kib"),
    ],
)
def test_a_column_in_another_unit_is_refused_with_both_names(path, column, other):
    """A thousandfold error is the commonest one: it must not pass for a missing column."""
    text = HEADER.replace(column, other) + "\n"
    with pytest.raises(DeviceError, match=f"'{column}' is in .* table has '{other}'. Convert"):
        parse_table(text, path)


def test_an_empty_file_is_refused_as_empty(path):
    with pytest.raises(DeviceError, match="an empty file"):
        read_table(written(path, ""))


@pytest.mark.parametrize("word", ["-1", "nan", "inf", "fast", ""])
@pytest.mark.parametrize("place", range(1, 5), ids=HEADER.split(",")[1:])
def test_a_number_below_0_or_not_finite_is_refused_by_line_and_column(path, place, word):
    fields = [SECOND.replace(",", ";"), "0.25", "768", "0", "0"]
    fields[place] = word
    text = f"{HEADER}\n{FIRST},0.5,448,12,768\n{','.join(fields)}\n"
    rule = f"line 3: {HEADER.split(',')[place]} must be .* at least 0, but got '{word}'"
    with pytest.raises(DeviceError, match=rule):
        parse_table(text, path)


def test_a_latency_of_0_is_refused_because_it_has_no_logarithm(path):
    with pytest.raises(DeviceError, match="line 2: latency_ms must be above 0"):
        parse_table(f"{HEADER}\n{FIRST},0.0,448,12,768\n", path)


def test_a_line_with_too_few_fields_is_refused(path):
    with pytest.raises(DeviceError, match="line 2: 3 fields, fewer than the header has"):
        parse_table(f"{HEADER}\n{FIRST},0.5,448\n", path)


@pytest.mark.parametrize(("again", "refused"), [(0.549, False), (0.551, True), (0.454, True)])
def test_two_rows_of_a_subgraph_may_differ_by_a_tenth(path, again, refused):
    """0.5 * 1.1 = 0.55 and 0.5 / 1.1 = 0.4545; of two that agree the first counts."""
    text = f"{HEADER}\n{FIRST},0.5,448,12,768\n{FIRST},{again},448,12,768\n"
    if refused:
        with pytest.raises(DeviceError, match=f"line 3: latency_ms {again} contradicts 0.5"):
            parse_table(text, path)
    else:
        assert parse_table(text, path) == ROWS[:1]


@pytest.mark.parametrize("torn", ["1x3x8x8; co", f"{FIRST},0.5,448,12,76"], ids=["key", "number"])
def test_a_torn_last_line_is_ignored(path, torn):
    """Without its newline a last number may have lost digits."""
    assert read_table(written(path, f"{HEADER}\n{LINES}{torn}")) == ROWS


@pytest.mark.parametrize("torn", ["", "1x3x8x8; co"], ids=["whole", "torn"])
def test_appending_keeps_the_rows_and_drops_the_torn_one(path, torn):
    lines = LINES.splitlines(keepends=True)
    written(path, f"{HEADER}\n{lines[0]}{torn}")
    assert tuple(append_rows(path, ROWS[1:])) == ROWS[1:]
    assert path.read_text(encoding="utf-8") == f"{HEADER}\n{LINES}"


def test_appending_starts_a_table_where_there_is_none(path):
    assert tuple(append_rows(path, ROWS)) == ROWS
    assert read_table(path) == ROWS


def test_each_row_is_on_disk_before_the_next_is_asked_for(path):
    for n, _ in enumerate(append_rows(path, ROWS), start=1):
        assert read_table(path) == ROWS[:n]


def test_nine_digits_of_a_latency_survive(path):
    row = Row(signature=FIRST, latency_ms=0.123456789, peak_memory_bytes=1, weight_bytes=1, macs=1)
    list(append_rows(path, [row]))
    assert read_table(path) == (row,)


def test_packing_and_unpacking_gives_the_same_bytes(path):
    data = f"{HEADER}\n{LINES}".encode()
    path.write_bytes(data)
    packed = pack(path.parent)
    assert packed.name == "measurements.csv.gz"
    assert not path.exists()
    assert gzip.decompress(packed.read_bytes()) == data
    assert unpack(path.parent) == path
    assert path.read_bytes() == data


def test_packing_twice_gives_the_same_file(path):
    """No time stamp and no name inside: a table in git changes only with its rows."""
    first = pack(written(path, f"{HEADER}\n{LINES}").parent).read_bytes()
    assert pack(unpack(path.parent).parent).read_bytes() == first


def test_a_growing_table_is_read_before_the_packed_one(path):
    assert table_path(path.parent) is None
    written(path, f"{HEADER}\n")
    packed = pack(path.parent)
    assert table_path(path.parent) == packed
    list(append_rows(unpack(path.parent), ROWS))
    assert table_path(path.parent) == path
    assert unpack(path.parent) == path
    assert read_table(path) == ROWS


@pytest.mark.parametrize("damage", ["not_gzip", "cut", "flipped", "not_text"])
def test_a_damaged_packed_table_is_refused_with_its_path(tmp_path, damage):
    path = tmp_path / "measurements.csv.gz"
    data = bytearray(gzip.compress(f"{HEADER}\n{LINES}".encode(), mtime=0))
    if damage == "flipped":
        data[12] ^= 0xFF
    whole = {"not_gzip": b"signature", "cut": data[:-9], "not_text": gzip.compress(b"\xff\n")}
    path.write_bytes(bytes(whole.get(damage, data)))
    with pytest.raises(DeviceError, match=re.escape(f"{path}: cannot be read as a table")):
        read_text(path)


def test_the_shares_of_the_operators_are_kept_where_a_row_has_them(path):
    row = replace(ROWS[0], operators_ms=(0.5,))
    assert list(append_rows(path, [row, ROWS[1]])) == [row, ROWS[1]]
    assert read_table(path) == (row, ROWS[1])


def test_a_table_without_that_column_is_continued_without_it(path):
    written(path, f"{HEADER}\n{LINES}")
    row = replace(ROWS[0], signature="1x4x9x9; conv 0 > 1x4x9x9 w=16", operators_ms=(0.5,))
    list(append_rows(path, [row]))
    assert read_table(path)[-1] == replace(row, operators_ms=())


def test_shares_that_do_not_add_up_to_the_latency_are_refused(path):
    text = f"{HEADER},operators_ms\n{FIRST},0.5,448,12,768,0.2 0.2\n"
    with pytest.raises(
        DeviceError, match=r"line 2: operators_ms must add up to latency_ms 0\.5, but"
    ):
        parse_table(text, path)


def test_a_growing_table_is_appended_to_and_never_written_anew(path):
    """A rewrite in place, killed, leaves nothing: a torn line is cut by replacing the file."""
    list(append_rows(path, ROWS[:1]))
    before = path.stat().st_ino
    list(append_rows(path, ROWS[1:]))
    assert path.stat().st_ino == before
    with path.open("a", encoding="utf-8") as file:
        file.write("1x3x8x8; co")
    with path.open("rb") as reader:
        list(append_rows(path, []))
        assert reader.read().endswith(b"co")
    assert read_table(path) == ROWS
    assert [file.name for file in path.parent.iterdir()] == [path.name]
