# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oslo.config's files, read and changed without loss: what is not changed keeps every byte.

The grammar is the one of oslo_config/iniparser.py, which is not that of Python's configparser:

- ``name = value`` or ``name: value``, whichever of the two characters comes first.
- A line that begins with a space or a tab continues the option above it, unless a blank line or a comment lies between.
- ``#`` and ``;`` begin a comment at a line's beginning only.
- A value loses the white space around it, then one pair of quotes, if it begins and ends with the same one.
- A section may come several times, and so may an option: the last one counts, or all of them where the option is a MultiOpt.
- Sections are found whatever the case of their names, but for DEFAULT.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from difflib import SequenceMatcher

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput

# Python's universal newlines, with which oslo.config opens its files.
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ENDING = re.compile(r"[\r\n]*$")

# Everything of an option's first line that precedes its value.
_HEAD = re.compile(r"[^:=]*[:=][^\S\r\n]*")

# A default as oslo-config-generator writes it, or nearly: ``#debug = false``.
_COMMENTED_OUT = re.compile(r"[#;](?P<space>[ \t]?)(?P<name>[^\s=:#;]+)[ \t]*=")

_INDENT = "    "

SECTION, OPTION, COMMENT, BLANK = "section", "option", "comment", "blank"


@dataclass(eq=False)
class Item:
    """One line, or an option with the lines that continue it.

    :param text: As it stands in the file, line endings included.
    :param section: The section that it is in, as ``same_section`` gives it; of a header, its own.
    :param name: Of an option or a header, as it is written.
    :param value: Of an option, as oslo.config reads it.
    """

    kind: str
    text: str
    section: str = ""
    name: str = ""
    value: str = ""


def same_section(name: str) -> str:
    """A section's name such that two of them are equal if oslo.config takes them for one section."""
    return name if name == "DEFAULT" else name.lower()


def check_names(section: str, option: t.Optional[str] = None) -> None:
    """See that oslo.config could read back a section's name, and an option's.

    :raises InvalidInput: it could not.
    """
    if not section or section != section.strip() or re.search(r"[\[\]\r\n]", section):
        raise InvalidInput("%r is no name for a section" % section)
    if option is not None and (not option or option != option.strip() or option[0] in "[#;" or re.search(r"[=:\r\n]", option)):
        raise InvalidInput("%r is no name for an option, in section %s" % (option, section))


def spelled(value: str) -> t.List[str]:
    """A value as the lines that oslo.config reads back as just that.

    :raises InvalidInput: there are none: the file format cannot hold the value. The message does not show it.
    """
    first, *rest = value.split("\n")
    if "\r" in value or any(not line or line != line.strip() for line in rest):
        raise InvalidInput(
            "the file format cannot hold it: a value has no carriage return, and after its first line no line that is empty, or that begins or ends"
            " with white space (a YAML text of several lines loses its last line break when it is written with |-)")
    if first != first.strip() or first and _unquoted(first) != first:
        first = '"%s"' % first
    return [first] + rest


def _unquoted(value: str) -> str:
    return value[1:-1] if value and value[0] in "\"'" and value[0] == value[-1] else value


class Document:
    """One file.

    :param name: What errors call it.
    :raises BackendError: oslo.config could not read it either; the message has the line's number, and not its text, which may be secret.
    """

    def __init__(self, text: str, name: str = "the file") -> None:
        self._items = _parse(text, name)
        self._newline = next((ending for ending in (_ending(item.text) for item in self._items) if ending), "\n")

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(item.text for item in self._items)

    @property
    def sections(self) -> t.List[str]:
        """The names of all sections as they are written, each once, in the order of the file."""
        return list(dict.fromkeys(item.name for item in self._items if item.kind == SECTION))

    def options(self, section: str) -> t.List[t.Tuple[str, str]]:
        """(name, value) of everything set in a section, in the order of the file."""
        return [(item.name, item.value) for item in self._items if item.kind == OPTION and item.section == same_section(section)]

    def values(self, section: str, option: str) -> t.List[str]:
        """All values of one option, in the order of the file; empty if it is not set."""
        return [value for name, value in self.options(section) if name == option]

    def has(self, section: str) -> bool:
        """Whether there is such a section, be it empty."""
        return bool(self._bodies(section))

    def set(self, section: str, option: str, values: t.Sequence[str]) -> None:
        """Make these the values of one option, a line for each. Lines that have the right value already stay as they are.

        :raises InvalidInput: a name or a value that the file format cannot hold.
        """
        check_names(section, option)
        found = [item for item in self._items if item.kind == OPTION and item.section == same_section(section) and item.name == option]
        if not found:
            self._add(section, option, values)
            return
        head = _head(found[0].text)
        last: t.Optional[Item] = None
        for tag, begin, end, wanted, until in SequenceMatcher(None, [item.value for item in found], values, autojunk=False).get_opcodes():
            old, new = found[begin:end], list(values[wanted:until])
            for item, value in zip(old, new):
                if tag != "equal":
                    item.text, item.value = _written(_head(item.text), value, self._newline, _ending(item.text)), value
                last = item
            for item in old[len(new):]:
                self._items.remove(item)
            for value in new[len(old):]:
                index = self._items.index(found[begin]) if last is None else self._items.index(last) + 1
                last = self._insert(index, section, option, value, head)

    def remove(self, section: str, option: str) -> None:
        """Take out one option, wherever in its section it is set. Comments about it stay."""
        self._items = [item for item in self._items if not (item.kind == OPTION and item.section == same_section(section) and item.name == option)]

    def remove_section(self, section: str) -> None:
        """Take out a section with everything in it, comments included, wherever it comes. What introduces the next one stays."""
        for start, stop in reversed(self._bodies(section)):
            end = self._end(start, stop)
            while end < stop and self._items[end].kind == BLANK:
                end += 1
            del self._items[start:end]

    # --- where things are ---

    def _bodies(self, section: str) -> t.List[t.Tuple[int, int]]:
        """(index of the header, index after the last item) of each part of the file that is this section."""
        headers = [index for index, item in enumerate(self._items) if item.kind == SECTION] + [len(self._items)]
        return [(start, stop) for start, stop in zip(headers, headers[1:]) if self._items[start].section == same_section(section)]

    def _end(self, start: int, stop: int) -> int:
        """The index after the last item that is a section's own.

        Blank lines before the next header are nobody's, and comments that stand right above it after a blank line belong to it,
        unless they are defaults that were commented out.
        """
        end = stop
        if stop < len(self._items):
            while self._items[end - 1].kind == COMMENT and not _COMMENTED_OUT.match(self._items[end - 1].text):
                end -= 1
            if self._items[end - 1].kind != BLANK:
                end = stop
        while end > start and self._items[end - 1].kind == BLANK:
            end -= 1
        return end

    # --- adding ---

    def _add(self, section: str, option: str, values: t.Sequence[str]) -> None:
        """Set an option that was not set: below its commented-out default, else at its section's end, else in a new section."""
        index = self._below_default(section, option)
        if index is None:
            index = self._at_end(section)
        for offset, value in enumerate(values):
            self._insert(index + offset, section, option, value, option + " = ")

    def _below_default(self, section: str, option: str) -> t.Optional[int]:
        """The index after the last commented-out default of an option; those without a space after the ``#`` come first."""
        loose: t.List[int] = []
        tight: t.List[int] = []
        for index, item in enumerate(self._items):
            match = _COMMENTED_OUT.match(item.text) if item.kind == COMMENT and item.section == same_section(section) else None
            if match and match.group("name") == option:
                (loose if match.group("space") else tight).append(index + 1)
        return max(tight or loose, default=None)

    def _at_end(self, section: str) -> int:
        """The index after a section's last line, with a blank line made first where it would look like part of a comment."""
        bodies = self._bodies(section)
        if not bodies:
            if self._items and self._items[-1].kind != BLANK:
                self._put(len(self._items), Item(BLANK, self._newline, self._items[-1].section))
            return self._put(len(self._items), Item(SECTION, "[%s]%s" % (section, self._newline), same_section(section), section)) + 1
        index = self._end(*bodies[-1])
        if self._items[index - 1].kind == COMMENT:
            index = self._put(index, Item(BLANK, self._newline, same_section(section))) + 1
        return index

    def _insert(self, index: int, section: str, option: str, value: str, head: str) -> Item:
        item = Item(OPTION, _written(head, value, self._newline, self._newline), same_section(section), option, value)
        self._put(index, item)
        return item

    def _put(self, index: int, item: Item) -> int:
        if index and not _ending(self._items[index - 1].text):
            self._items[index - 1].text += self._newline
        self._items.insert(index, item)
        return index


def _parse(text: str, name: str) -> t.List[Item]:
    items: t.List[Item] = []
    section = ""
    for number, line in enumerate(_LINES.findall(text), 1):
        bare = line.rstrip()
        if not bare:
            items.append(Item(BLANK, line, section))
        elif bare[0] in " \t":
            if not items or items[-1].kind != OPTION:
                raise _malformed(name, number, "it begins with white space, so it continues an option, but there is none above it")
            items[-1].text += line
            items[-1].value += "\n" + bare.lstrip()
        elif bare[0] == "[":
            if bare[-1] != "]" or len(bare) < 3:
                raise _malformed(name, number, "it begins a section, but is not of the form [name]")
            section = same_section(bare[1:-1])
            items.append(Item(SECTION, line, section, bare[1:-1]))
        elif bare[0] in "#;":
            items.append(Item(COMMENT, line, section))
        else:
            option, separator, value = _split(bare)
            if not separator or not option:
                raise _malformed(name, number, "it is neither a comment nor [section] nor name = value")
            if not section:
                raise _malformed(name, number, "it sets an option before the first [section]")
            items.append(Item(OPTION, line, section, option, value))
    return items


def _split(line: str) -> t.Tuple[str, str, str]:
    """(name, separator, value) of an option's first line; the separator is empty if there is none."""
    head = _HEAD.match(line)
    if not head:
        return line, "", ""
    separator = head.group().rstrip()[-1]
    return line.partition(separator)[0].strip(), separator, _unquoted(line.partition(separator)[2].strip())


def _malformed(name: str, number: int, why: str) -> BackendError:
    return BackendError("line %d of %s cannot be read by oslo.config: %s; correct it, and run the task again" % (number, name, why), line=number)


def _head(text: str) -> str:
    """What precedes an option's value, with a space to follow the separator if one precedes it."""
    head = t.cast("re.Match[str]", _HEAD.match(text)).group()
    return head + " " if head[-1] in ":=" and head[-2:-1].isspace() else head


def _written(head: str, value: str, newline: str, ending: str) -> str:
    lines = spelled(value)
    lines[0] = head + lines[0] if lines[0] else head.rstrip()
    return (newline + _INDENT).join(lines) + ending


def _ending(text: str) -> str:
    return t.cast("re.Match[str]", _ENDING.search(text)).group()
