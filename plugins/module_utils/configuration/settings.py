# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of one file: those the model makes, those given beside it, and those to take out."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model


@dataclass
class Settings:
    """What becomes of one file, in the words of the module oslo_config.

    :param options: Section -> option -> value; a list stands in the file once for each member.
    :param absent: Section -> options to take out; none named: the whole section.
    :param sections: Those that only this model knows, whose options no sample of the service lists.
    """

    options: t.Dict[str, t.Dict[str, t.Any]] = field(default_factory=dict)
    absent: t.Dict[str, t.List[str]] = field(default_factory=dict)
    sections: t.List[str] = field(default_factory=list)

    def write(self, section: str, **options: t.Any) -> None:
        """Write these options."""
        self.options.setdefault(section, {}).update(options)

    def drop(self, section: str, *options: str) -> None:
        """Take these options out, or all of the section."""
        self.absent.setdefault(section, []).extend(options)

    def finished(self, model: Model, service: str) -> Settings:
        """With what the release has removed and what was given beside the model, which comes first wherever both speak."""
        for section, removed in model.deployment.removed(service).items():
            self.drop(section, *removed)
        for section, names in model.absent_options.items():
            for name in names or list(self.options.get(section, {})):
                self.options.get(section, {}).pop(name, None)
            if names:
                self.drop(section, *names)
            else:
                self.absent[section] = []
        for section, options in model.options.items():
            self.write(section, **options)
        self._settle()
        return self

    def _settle(self) -> None:
        """What is written is not taken out; a section of which nothing is left is not mentioned."""
        self.options = {section: options for section, options in self.options.items() if options}
        absent = {}
        for section, names in self.absent.items():
            written = self.options.get(section, {})
            left = [name for name in dict.fromkeys(names) if name not in written]
            if left or not (names or written):
                absent[section] = left
        self.absent = absent


def joined(value: t.Any) -> t.Any:
    """A value as oslo.config reads it from one line: lists with commas, mappings as ``key:value`` with commas."""
    if isinstance(value, dict):
        return ",".join("%s:%s" % pair for pair in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in value)
    return value
