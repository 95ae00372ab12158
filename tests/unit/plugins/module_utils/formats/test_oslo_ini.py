# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import textwrap

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.formats.oslo_ini import Document, same_section, spelled
from ansible_collections.bootable.volumes.tests.unit.fakes import oslo
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_config.iniparser import ParseError


def changed(before, *changes):
    """A file after ``changes`` (section, option, values), and after the same once more."""
    document = Document(textwrap.dedent(before))
    for change in changes:
        document.set(*change)
    again = Document(document.text)
    for change in changes:
        again.set(*change)
    assert again.text == document.text
    return document.text


# --- where things go ---


@pytest.mark.parametrize("what, before, change, after", [
    ("a value changes and nothing around it",
     "[DEFAULT]\n# about it\ndebug=false\nother : x\n", ("DEFAULT", "debug", ["true"]),
     "[DEFAULT]\n# about it\ndebug=true\nother : x\n"),
    ("the separator that is there stays",
     "[a]\nx  :   1\n", ("a", "x", ["2"]),
     "[a]\nx  :   2\n"),
    ("below its commented-out default",
     "[a]\n\n# help\n#x = 1\n\n# help\n#y = 2\n", ("a", "x", ["5"]),
     "[a]\n\n# help\n#x = 1\nx = 5\n\n# help\n#y = 2\n"),
    ("below the last of several defaults",
     "[a]\n#x = 1\n#x = 2\n\n[b]\n", ("a", "x", ["5"]),
     "[a]\n#x = 1\n#x = 2\nx = 5\n\n[b]\n"),
    ("a default without a space wins over prose",
     "[a]\n#x = 1\n\n# x = 3 is a good value\n", ("a", "x", ["5"]),
     "[a]\n#x = 1\nx = 5\n\n# x = 3 is a good value\n"),
    ("not below an example in the help",
     "[a]\n# For example:\n#     x = 3\n#y = 1\n", ("a", "x", ["5"]),
     "[a]\n# For example:\n#     x = 3\n#y = 1\n\nx = 5\n"),
    ("not below the default of another section",
     "[a]\n#x = 1\n\n[b]\n#y = 1\n", ("b", "x", ["5"]),
     "[a]\n#x = 1\n\n[b]\n#y = 1\n\nx = 5\n"),
    ("at its section's end, before blank lines",
     "[a]\ny = 1\n\n\n[b]\nz = 1\n", ("a", "x", ["5"]),
     "[a]\ny = 1\nx = 5\n\n\n[b]\nz = 1\n"),
    ("before what introduces the next section",
     "[a]\ny = 1\n\n# All about b\n[b]\nz = 1\n", ("a", "x", ["5"]),
     "[a]\ny = 1\nx = 5\n\n# All about b\n[b]\nz = 1\n"),
    ("but not before a default that stands right above the next section",
     "[a]\n\n# help\n#y = 1\n[b]\n", ("a", "x", ["5"]),
     "[a]\n\n# help\n#y = 1\n\nx = 5\n[b]\n"),
    ("below an option that goes on",
     "[a]\ny = 1,\n  2\n", ("a", "x", ["5"]),
     "[a]\ny = 1,\n  2\nx = 5\n"),
    ("into an empty section",
     "[a]\n\n[b]\n", ("a", "x", ["5"]),
     "[a]\nx = 5\n\n[b]\n"),
    ("into a new section", "[a]\ny = 1\n", ("b", "x", ["5"]), "[a]\ny = 1\n\n[b]\nx = 5\n"),
    ("into a new file", "", ("b", "x", ["5"]), "[b]\nx = 5\n"),
    ("after a last line that has no end", "[a]\ny = 1", ("a", "x", ["5"]), "[a]\ny = 1\nx = 5\n"),
    ("a last line without an end gets none", "[a]\nx = 1", ("a", "x", ["5"]), "[a]\nx = 5"),
    ("the section is found whatever its case", "[Ceph]\nx = 1\n", ("ceph", "x", ["5"]), "[Ceph]\nx = 5\n"),
    ("but DEFAULT is no other", "[default]\nx = 1\n", ("DEFAULT", "x", ["5"]), "[default]\nx = 1\n\n[DEFAULT]\nx = 5\n"),
    ("the part of a section with the default", "[a]\n#x = 1\n[b]\n[a]\ny = 1\n", ("a", "x", ["5"]), "[a]\n#x = 1\nx = 5\n[b]\n[a]\ny = 1\n"),
    ("the last part of a section", "[a]\nz = 1\n[b]\n[a]\ny = 1\n", ("a", "x", ["5"]), "[a]\nz = 1\n[b]\n[a]\ny = 1\nx = 5\n"),
    ("lines of another value go", "[a]\nx = 1\n[b]\n[a]\nx = 2\n", ("a", "x", ["2"]), "[a]\n[b]\n[a]\nx = 2\n"),
    ("lines that go on, too", "[a]\nx = 1,\n    2,\n\t3\ny = 1\n", ("a", "x", ["2"]), "[a]\nx = 2\ny = 1\n"),
    ("one more value", "[a]\nx=1\ny = 1\n", ("a", "x", ["1", "2"]), "[a]\nx=1\nx=2\ny = 1\n"),
    ("one value before the others", "[a]\nx = 2\ny = 1\n", ("a", "x", ["1", "2"]), "[a]\nx = 1\nx = 2\ny = 1\n"),
    ("one value less", "[a]\n# one\nx = 1\n# two\nx = 2\n# three\nx = 3\n", ("a", "x", ["1", "3"]), "[a]\n# one\nx = 1\n# two\n# three\nx = 3\n"),
    ("one value changes", "[a]\nx = 1\nx = 2\nx = 3\n", ("a", "x", ["1", "5", "3"]), "[a]\nx = 1\nx = 5\nx = 3\n"),
    ("several new values below their default", "[a]\n#x = 0\n\n#y = 1\n", ("a", "x", ["1", "2"]), "[a]\n#x = 0\nx = 1\nx = 2\n\n#y = 1\n"),
    ("no value", "[a]\nx = 1\n", ("a", "x", [""]), "[a]\nx =\n"),
    ("where there was no value", "[a]\nx =\n", ("a", "x", ["1"]), "[a]\nx = 1\n"),
    ("a value that is quoted and right stays quoted", '[a]\nx = "1"\n', ("a", "x", ["1"]), '[a]\nx = "1"\n'),
    ("dollars are nothing special", "[a]\nx = 1\n", ("a", "x", ["$state_path/x$$"]), "[a]\nx = $state_path/x$$\n"),
    ("a text in several lines", "[a]\nx = 1\ny = 1\n", ("a", "x", ["1\n2"]), "[a]\nx = 1\n    2\ny = 1\n"),
], ids=lambda value: value if isinstance(value, str) and "\n" not in value else "")
def test_where_an_option_goes(what, before, change, after):
    text = changed(before, change)
    assert text == after
    assert oslo.read(text)[same_section(change[0])][change[1]] == change[2]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_endings_stay_and_new_lines_have_the_same(newline):
    before = "# a file\n[a]\nx = 1\n\n[b]\n".replace("\n", newline)
    assert changed(before, ("a", "x", ["1", "2\n3"]), ("c", "y", ["4"])) == "# a file\n[a]\nx = 1\nx = 2\n    3\n\n[b]\n\n[c]\ny = 4\n".replace("\n", newline)


def test_new_options_follow_each_other():
    assert changed("[a]\n# prose\n\n[b]\n", ("a", "x", ["1"]), ("a", "y", ["2"])) == "[a]\n# prose\n\nx = 1\ny = 2\n\n[b]\n"


@pytest.mark.parametrize("before, option, after", [
    ("[a]\nx = 1\ny = 2\n", "x", "[a]\ny = 2\n"),
    ("[a]\n# about x\nx = 1,\n  2\n#x = 3\n[A]\nx = 4\n", "x", "[a]\n# about x\n#x = 3\n[A]\n"),
    ("[a]\nx = 1\n", "z", "[a]\nx = 1\n"),
    ("[b]\nx = 1\n", "x", "[b]\nx = 1\n"),
])
def test_removing_an_option(before, option, after):
    document = Document(before)
    document.remove("a", option)
    assert document.text == after


@pytest.mark.parametrize("before, after", [
    ("[b]\ny = 1\n\n[a]\n# about x\nx = 1\n\n\n[c]\nz = 1\n", "[b]\ny = 1\n\n[c]\nz = 1\n"),
    ("[a]\nx = 1\n\n# All about c\n[c]\nz = 1\n", "# All about c\n[c]\nz = 1\n"),
    ("# A file\n\n[a]\nx = 1\n", "# A file\n\n"),
    ("[a]\nx = 1\n[c]\nz = 1\n[A]\ny = 1\n", "[c]\nz = 1\n"),
    ("[c]\nz = 1\n", "[c]\nz = 1\n"),
])
def test_removing_a_section(before, after):
    document = Document(before)
    document.remove_section("a")
    assert document.text == after


def test_what_is_there():
    document = Document("[a]\nx = 1\n[B]\nx: '2'\n[A]\nx = 3\ny =\n")
    assert document.sections == ["a", "B", "A"]
    assert document.values("a", "x") == ["1", "3"]
    assert document.options("b") == [("x", "2")]
    assert document.has("b") and not document.has("c")


# --- what cannot be ---


@pytest.mark.parametrize("text, line", [
    ("x = 1\n", 1),
    ("[a]\nx\n", 2),
    ("[a]\n\n= 1\n", 3),
    ("[a\nx = 1\n", 1),
    ("[a] # comment\n", 1),
    ("[]\n", 1),
    ("[a]\n  x = 1\n", 2),
    ("[a]\nx = 1\n\n  2\n", 4),
    ("[a]\nx = 1\n# comment\n  2\n", 4),
    ("\ufeff[a]\n", 1),
    ("# c\r\n[a]\r\nhunter2\r\n", 3),
])
def test_what_oslo_config_cannot_read(text, line):
    with pytest.raises(BackendError, match=r"^line %d of x\.conf " % line) as refused:
        Document(text, "x.conf")
    assert refused.value.details == {"line": line} and "hunter2" not in refused.value.message
    with pytest.raises(ParseError):
        oslo.read(text)


@pytest.mark.parametrize("value", ["a\n", "a\n\nb", "a\n b", "a\nb ", "a\rb", "a\r\nb", "\n"])
def test_values_that_no_file_can_hold(value):
    with pytest.raises(InvalidInput, match="white space"):
        spelled(value)


@pytest.mark.parametrize("section, option", [
    ("", "x"), (" a", "x"), ("a]", "x"), ("a\nb", "x"),
    ("a", ""), ("a", "x "), ("a", "x=y"), ("a", "x:y"), ("a", "#x"), ("a", ";x"), ("a", "[x"), ("a", "x\ny"),
])
def test_names_that_no_file_can_hold(section, option):
    with pytest.raises(InvalidInput, match="no name for"):
        Document("").set(section, option, ["1"])


# --- as oslo.config reads it ---

SPACES = st.sampled_from(["", " ", "  ", "\t", " \t", "\u00a0", "\x0b"])
WORDS = st.text(st.sampled_from("ab1 =:#;[]\"'$\\,\t\u00a0\u2028é"), max_size=6)
NAMES = st.sampled_from(["a", "b", "debug", "my-opt"])
SECTIONS = st.sampled_from(["DEFAULT", "a", "A", "b", "default"])
ENDINGS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])

OPTIONS = st.builds("{}{}{}{}{}".format, NAMES, SPACES, st.sampled_from("=:"), SPACES, WORDS)
HEADERS = st.builds("[{}]{}".format, SECTIONS, SPACES)
COMMENTS = st.one_of(st.builds("{}{}".format, st.sampled_from("#;"), WORDS), st.builds("#{} = {}".format, NAMES, WORDS))
CONTINUATIONS = st.builds("{}{}".format, st.sampled_from(["  ", "\t"]), WORDS)
LINES = st.one_of(OPTIONS, OPTIONS, OPTIONS, HEADERS, COMMENTS, CONTINUATIONS, SPACES, WORDS)
GOOD_LINES = st.one_of(OPTIONS, OPTIONS, HEADERS, COMMENTS, SPACES)


def files(lines):
    return st.builds(lambda pairs, end: "".join(line + ending for line, ending in pairs) + end, st.lists(st.tuples(lines, ENDINGS), max_size=12),
                     st.sampled_from(["", "", "[a]", "# end"]))


VALUES = st.one_of(st.text(max_size=8), WORDS, st.lists(WORDS, min_size=1, max_size=3).map("\n".join))


def parsed(text):
    """What our reader makes of a file, in oslo.config's shape."""
    document = Document(text)
    found = {}
    for section in document.sections:
        within = found.setdefault(same_section(section), {})
        for name, value in document.options(section) if not within else ():
            within.setdefault(name, []).append(value)
    return found


@settings(max_examples=400, deadline=None)
@given(files(LINES))
def test_any_file_reads_as_oslo_config_reads_it_or_not_at_all(text):
    try:
        wanted = oslo.read(text)
    except ParseError:
        with pytest.raises(BackendError):
            Document(text)
        return
    assert parsed(text) == wanted
    assert Document(text).text == text


@settings(max_examples=400, deadline=None)
@given(files(GOOD_LINES).map(lambda text: "[a]\n" + text), SECTIONS, NAMES, st.lists(VALUES, min_size=1, max_size=3))
def test_what_is_set_is_what_oslo_config_reads_and_nothing_else_changes(text, section, option, values):
    try:
        for value in values:
            spelled(value)
    except InvalidInput:
        return
    before = oslo.read(text)
    document = Document(text)
    document.set(section, option, values)
    after = oslo.read(document.text)
    assert after[same_section(section)].pop(option) == values
    before.setdefault(same_section(section), {}).pop(option, None)
    assert after == before
    again = Document(document.text)
    again.set(section, option, values)
    assert again.text == document.text


@settings(max_examples=200, deadline=None)
@given(files(GOOD_LINES).map(lambda text: "[a]\n" + text), SECTIONS, NAMES)
def test_what_is_removed_is_gone_and_nothing_else_changes(text, section, option):
    wanted = oslo.read(text)
    document = Document(text)
    wanted.get(same_section(section), {}).pop(option, None)
    document.remove(section, option)
    assert oslo.read(document.text) == wanted
    wanted.pop(same_section(section), None)
    document.remove_section(section)
    assert oslo.read(document.text) == wanted
