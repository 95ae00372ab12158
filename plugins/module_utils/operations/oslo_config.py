# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many options of one oslo.config file at once: validated, then written in one go, or not at all."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, State, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.secrets import without_secrets
from ansible_collections.bootable.volumes.plugins.module_utils.formats.oslo_ini import Document, check_names, same_section, spelled
from ansible_collections.bootable.volumes.plugins.module_utils.host.oslo_validator import Findings, OsloValidator
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import UNCHANGED, Asked, Ownership
from ansible_collections.bootable.volumes.plugins.module_utils.host.replacement import Found, ReplaceableFile
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation

Result = t.Dict[str, t.Any]

# A file of a service holds passwords.
NEW_FILE = Ownership(UNCHANGED, UNCHANGED, 0o640)

# Where the diff shows what is not an option.
_FILE = ""


@dataclass(frozen=True)
class Wish:
    """What a file shall say.

    :param values: {section: {option: its values, in order}}
    :param absent: {section: options that shall not be set; none of them: the whole section goes}
    """

    values: t.Mapping[str, t.Mapping[str, t.Sequence[str]]]
    absent: t.Mapping[str, t.Sequence[str]]

    @classmethod
    def from_params(cls, options: t.Optional[t.Mapping[str, t.Any]], absent: t.Optional[t.Mapping[str, t.Any]]) -> Wish:
        """From the module's ``options`` and ``absent``.

        :raises InvalidInput: for what no oslo.config file can say, and for contradictions.
        """
        wish = cls(
            {section: {name: _values(section, name, value) for name, value in _dict("options", section, within).items()}
             for section, within in (options or {}).items()},
            {section: _names(section, within) for section, within in (absent or {}).items()},
        )
        wish._check()
        return wish

    def _check(self) -> None:
        for option, sections in (("options", self.values), ("absent", self.absent)):
            spellings = [same_section(section) for section in sections]
            for section, names in sections.items():
                check_names(section)
                for name in names:
                    check_names(section, name)
                if spellings.count(same_section(section)) > 1:
                    raise InvalidInput("%s: oslo.config takes %s for one section, whatever the case; name it once" % (option, section))
        for section, names in self.absent.items():
            for other in self.values:
                if same_section(other) == same_section(section):
                    both = sorted(set(names) & set(self.values[other])) or ([] if names else [section])
                    if both:
                        raise InvalidInput("%s stands in both options and absent; decide for one" % ", ".join(
                            each if each == section else _subject(section, each) for each in both))


def _dict(option: str, section: str, given: t.Any) -> t.Mapping[str, t.Any]:
    if not isinstance(given, dict):
        raise InvalidInput("%s: %s is not a dict; it goes section, then option, then value" % (option, section))
    return given


def _values(section: str, name: str, value: t.Any) -> t.List[str]:
    subject = _subject(section, name)
    if isinstance(value, list) and not value:
        raise InvalidInput("options: %s is an empty list; to take an option out of the file, name it in absent" % subject)
    texts = [_text(subject, each) for each in (value if isinstance(value, list) else [value])]
    for text in texts:
        try:
            spelled(text)
        except InvalidInput as error:
            raise InvalidInput("options: %s: %s" % (subject, error.message)) from error
    return texts


def _text(subject: str, value: t.Any) -> str:
    if value is None:
        raise InvalidInput("options: %s is null; to take an option out of the file, name it in absent" % subject)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InvalidInput("options: %s is a %s; an option has a text, a number, true or false, or a list of those"
                       " (what oslo.config calls a list or a dict is one text: a, b or a:1, b:2)" % (subject, type(value).__name__))


def _names(section: str, given: t.Any) -> t.List[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise InvalidInput("absent: %s is not a list of names of options; an empty list, [], takes out the whole section" % section)
    return given


def _subject(section: str, option: str) -> str:
    return "%s.%s" % (section, option)


@dataclass(frozen=True)
class Edits(Plan):
    """The steps, and the file that they make.

    :param found: The file as it is, None if there is none.
    :param options: ``section.option`` of everything that changes.
    """

    path: str = ""
    found: t.Optional[Found] = None
    data: bytes = b""
    ownership: Ownership = NEW_FILE
    options: t.Tuple[str, ...] = ()
    findings: t.Optional[Findings] = None

    @property
    def rewrites(self) -> bool:
        """Whether the file's content changes, and not its owner or mode alone."""
        return self.changed and (self.found is None or self.found.data != self.data)

    def diff(self) -> t.Dict[str, t.Any]:
        """What changes, as a file that has nothing but that in it."""
        return {
            "before_header": self.path, "before": _rendered(step.before for step in self.steps),
            "after_header": self.path, "after": _rendered(step.after for step in self.steps),
        }


def _rendered(states: t.Iterable[State]) -> str:
    """States are {header: lines}."""
    parts: t.Dict[str, t.List[str]] = {}
    for state in states:
        for header, lines in state.items():
            parts.setdefault(header, []).extend(lines)
    return "".join(line + "\n" for header, lines in parts.items() for line in ([header] if header else []) + lines)


class OsloConfig(Operation):
    """One file, and what it shall say.

    :param create: Whether a missing file may be made.
    :param warn: Told of options that were unknown before and are not this task's.
    """

    def __init__(self, *, file: ReplaceableFile, wish: Wish, ownership: Asked, create: bool, backup: bool, validator: t.Optional[OsloValidator],
                 warn: t.Callable[[str], None], job: Job) -> None:
        self._file = file
        self._wish = wish
        self._asked = ownership
        self._create = create
        self._backup = backup
        self._validator = validator
        self._warn = warn
        self._job = job

    def exclusive(self) -> t.ContextManager[None]:
        return self._file.held(self._job.deadline)

    # --- planning ---

    def plan(self) -> Edits:
        found = self._file.read()
        if found is None and not any(self._wish.values.values()):
            return Edits((Step("keep", self._file.path, "it does not exist"),), self._file.path)
        if found is None and not self._create:
            raise NotFound("path: there is no %s, and create: false forbids making it; check the path" % self._file.path)
        old, new = self._document(found), self._document(found)
        ownership = self._asked.of(found.ownership if found else NEW_FILE)
        steps = self._file_steps(found, ownership) + self._removals(old, new) + self._settings(old, new)
        options = tuple(each for step in steps if step.data for each in step.data)
        data = new.text.encode()
        findings = self._validated(old, new) if found is None or data != found.data else None
        steps = steps or [Step("keep", self._file.path, "it is as asked for")]
        return Edits(tuple(steps), self._file.path, found, data, ownership, options, findings)

    def _document(self, found: t.Optional[Found]) -> Document:
        data = found.data if found else b""
        try:
            return Document(data.decode(), self._file.path)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise BackendError("line %d of %s is not UTF-8, which oslo.config expects; correct it, and run the task again" % (
                line, self._file.path), line=line) from error

    def _file_steps(self, found: t.Optional[Found], ownership: Ownership) -> t.List[Step]:
        """The file is made, or gets another owner or mode."""
        after = ownership.as_dict()
        if found is None:
            return [Step("create", self._file.path, "it does not exist", after={_FILE: _comments(after)})]
        before = found.ownership.as_dict()
        other = [name for name in sorted(after) if before.get(name) != after[name]]
        if not other:
            return []
        reason = "it has %s" % ", ".join("%s %s" % (name, before[name]) for name in other)
        return [Step("update", self._file.path, reason, *({_FILE: _comments({name: state[name] for name in other})} for state in (before, after)))]

    def _removals(self, old: Document, new: Document) -> t.List[Step]:
        """What shall not be there. A step's data is the options that it changes."""
        steps = []
        for section, names in self._wish.absent.items():
            header = "[%s]" % section
            if not names and old.has(section):
                gone = old.options(section)
                new.remove_section(section)
                steps.append(Step("remove", section, "the section is there", {header: [_line(name, value) for name, value in gone]},
                                  data=[_subject(section, name) for name in dict(gone)]))
            for name in names:
                values = old.values(section, name)
                if values:
                    new.remove(section, name)
                    steps.append(Step("remove", _subject(section, name), _reason(name, values), {header: [_line(name, value) for value in values]},
                                      {header: []}, data=[_subject(section, name)]))
        return steps

    def _settings(self, old: Document, new: Document) -> t.List[Step]:
        """What shall be there."""
        steps = []
        for section, options in self._wish.values.items():
            header = "[%s]" % section
            for name, wanted in options.items():
                values = old.values(section, name)
                if values == wanted:
                    continue
                new.set(section, name, wanted)
                before = [_line(name, value) for value in values]
                after = [_line(name, value) for value in wanted]
                if before == after:
                    after = [line + " (another)" for line in after]
                steps.append(Step("set", _subject(section, name), _reason(name, values), {header: before} if old.has(section) else {},
                                  {header: after}, data=[_subject(section, name)]))
        return steps

    def _validated(self, old: Document, new: Document) -> t.Optional[Findings]:
        """What the service's validator finds in the new content.

        :raises InvalidInput: something that it did not find in the old content: the change brings it in.
        """
        if self._validator is None:
            return None
        findings = self._find(self._validator, new)
        if not findings.unknown:
            return findings
        before = set(self._find(self._validator, old).unknown)
        brought = [each for each in findings.unknown if each not in before]
        if brought:
            raise InvalidInput(
                "the service does not know %s, which would come into %s; the file is as it was. Correct the names, or name in validate_with the namespaces"
                " that have them, or in its exclude_groups their sections%s" % (
                    ", ".join(brought), self._file.path, "; not installed are the namespaces %s" % ", ".join(findings.missing) if findings.missing else ""),
                unknown_options=brought)
        self._warn("%s has options that the service does not know; they were there before: %s" % (self._file.path, ", ".join(findings.unknown)))
        return findings

    def _find(self, validator: OsloValidator, document: Document) -> Findings:
        return validator.check(document.text.encode(), document.sections, self._job.deadline)

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        edits = t.cast(Edits, plan)
        result = self.preview(plan)
        if not edits.rewrites:
            self._file.own(edits.ownership)
            return result
        if self._backup and edits.found:
            result["backup_file"] = self._file.back_up(edits.found)
        self._file.replace(edits.data, edits.ownership, edits.found)
        return result

    def preview(self, plan: Plan) -> Result:
        edits = t.cast(Edits, plan)
        result: Result = {"path": self._file.path, "options_changed": list(edits.options)}
        if edits.findings:
            result.update(unknown_options=list(edits.findings.unknown), deprecated_options=list(edits.findings.deprecated))
        return result


def _comments(facts: t.Mapping[str, str]) -> t.List[str]:
    return ["# %s: %s" % (name, fact) for name, fact in sorted(facts.items())]


def _line(name: str, value: str) -> str:
    """An option as results and diffs show it."""
    return "%s = %s" % (name, without_secrets(name, value).replace("\n", "\n    "))


def _reason(name: str, values: t.Sequence[str]) -> str:
    return "it is %s" % ", ".join(without_secrets(name, value) or "empty" for value in values) if values else "it is not set"
