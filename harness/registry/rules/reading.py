"""Rules the reader checks: is this text YAML that means the same to everybody?"""

from __future__ import annotations

from harness.registry.finding import Severity
from harness.registry.rule import Rule, declare

MISSING = declare(
    Rule(
        id="GW001",
        severity=Severity.ERROR,
        title="A source file cannot be read",
        why="The three source files describe one system; without one of them the references of "
        "the others lead nowhere, so nothing can be checked or generated.",
        remedy="Create the file, or point the harness at the folder that holds it.",
        failing="ports.yaml: ~",
        passing="{}",
    )
)
TOO_LARGE = declare(
    Rule(
        id="GW002",
        severity=Severity.ERROR,
        title="A source file is too large",
        why="A registry is written by people. A file beyond the limits of size, depth or number "
        "of values is a mistake, or an attempt to keep the reader busy for ever.",
        remedy="Check that it is the right file; write its nesting out flat.",
        failing="ports.yaml: '" + "[" * 40 + "'",
        passing="{}",
    )
)
ENCODING = declare(
    Rule(
        id="GW003",
        severity=Severity.ERROR,
        title="A source file is not UTF-8",
        why="A model name read in the wrong encoding is another name, and the upstream server "
        "answers 404 for it.",
        remedy="Save the file as UTF-8 (iconv -f OLD -t UTF-8).",
        failing="ports.yaml: !!binary aG9zdDog/w==",
        passing="{}",
    )
)
BYTE_ORDER_MARK = declare(
    Rule(
        id="GW004",
        severity=Severity.WARNING,
        title="A source file starts with a byte order mark",
        why="YAML allows the mark and the harness skips it, but other tools take it for the "
        "first letter of the first key.",
        remedy="Save the file as UTF-8 without a byte order mark.",
        failing=r"""
ports.yaml: "\uFEFFhost: 127.0.0.1\nservices:\n
  gateway: {port: 4000, protocol: http, owner: gateway}\n
  local: {port: 8000, protocol: http, owner: local}\n
  spare: {port: 8080, protocol: http, owner: spare}\n"
""",
        passing="{}",
    )
)
CONTROL_CHARACTER = declare(
    Rule(
        id="GW005",
        severity=Severity.ERROR,
        title="A source file holds a character YAML forbids",
        why="Control characters and lone surrogates are invisible in an editor, cannot be "
        "written back, and cut strings short in programs written in C.",
        remedy="Delete the character, or replace it by the one that was meant.",
        failing=r'ports.yaml: "host: 127.0.0.1\0"',
        passing="{}",
    )
)
EMPTY = declare(
    Rule(
        id="GW006",
        severity=Severity.ERROR,
        title="A source file is empty",
        why="An empty file is most often an interrupted write or a lost merge.",
        remedy="Restore the file from version control.",
        failing="ports.yaml: '# nothing but a comment'",
        passing="{}",
    )
)
NOT_A_MAPPING = declare(
    Rule(
        id="GW007",
        severity=Severity.ERROR,
        title="The root of a source file is not a mapping",
        why="Every source file is a mapping of a few known keys; a list or a single value at "
        "the root means that the file is another one.",
        remedy="Start the file with its first key, such as 'services:'.",
        failing="ports.yaml: '- gateway'",
        passing="{}",
    )
)
SYNTAX = declare(
    Rule(
        id="GW008",
        severity=Severity.ERROR,
        title="A source file is not YAML",
        why="The parser cannot go on from here, so what follows has not been checked.",
        remedy="Correct the line; the cause may stand on the line above.",
        failing="ports.yaml: 'host: {'",
        passing="{}",
    )
)
TAB = declare(
    Rule(
        id="GW009",
        severity=Severity.ERROR,
        title="A tab is used as white space",
        why="YAML forbids tabs as indentation, because how deep a tab goes depends on who reads, "
        "and its readers disagree on tabs elsewhere.",
        remedy="Replace the tab by spaces.",
        failing=r'ports.yaml: "services:\n\tgateway: {}\n"',
        passing="{}",
    )
)
DUPLICATE_KEY = declare(
    Rule(
        id="GW010",
        severity=Severity.ERROR,
        title="A key stands twice in one mapping",
        why="YAML readers disagree on which of the two counts; most let the last one win "
        "without a word, so half of what was written is not in force.",
        remedy="Remove one of the two, or rename it.",
        failing=r"""
ports.yaml: "host: 127.0.0.1\nhost: 127.0.0.2\nservices:\n
  gateway: {port: 4000, protocol: http, owner: gateway}\n
  local: {port: 8000, protocol: http, owner: local}\n
  spare: {port: 8080, protocol: http, owner: spare}\n"
""",
        passing="{}",
    )
)
ALIAS = declare(
    Rule(
        id="GW011",
        severity=Severity.ERROR,
        title="An anchor or alias is used",
        why="An alias has no place of its own, so an error in it cannot be shown where it was "
        "made, and nested aliases let a file of one kilobyte grow to gigabytes in memory.",
        remedy="Write the value out where it is used.",
        failing=r'ports.yaml: "host: &address 127.0.0.1\n"',
        passing="{}",
    )
)
TAG = declare(
    Rule(
        id="GW012",
        severity=Severity.ERROR,
        title="A tag is used",
        why="A tag such as !!python/object asks the reader to build something else than text, "
        "numbers, lists and mappings; the sources need nothing else.",
        remedy="Remove the tag; quote the value if it must be text.",
        failing=r'ports.yaml: "host: !!str 127.0.0.1\n"',
        passing="{}",
    )
)
KEY_NOT_TEXT = declare(
    Rule(
        id="GW013",
        severity=Severity.ERROR,
        title="A key is not text",
        why="Bare true, null and 8001 are not text in YAML. As keys they are read as something "
        "else than the name that was meant.",
        remedy="Put the key in quotes.",
        failing=r'ports.yaml: "8001: 127.0.0.1\n"',
        passing="{}",
    )
)
SEVERAL_DOCUMENTS = declare(
    Rule(
        id="GW014",
        severity=Severity.ERROR,
        title="A file holds several documents",
        why="After '---' a second document begins, which most readers never look at.",
        remedy="Remove the '---' line and merge the two documents.",
        failing=r'ports.yaml: "host: 127.0.0.1\n---\nservices: {}\n"',
        passing="{}",
    )
)
SECRET = declare(
    Rule(
        id="GW015",
        severity=Severity.ERROR,
        title="A source file holds what looks like a secret",
        why="The sources are committed, copied and quoted in reports; a key that stands in them, "
        "in a comment too, is known to everybody who has ever read them.",
        remedy="Name the environment variable that holds it, {env: NAME}, and change the key where "
        "it was used.",
        failing="ports.yaml: {services: {local: {owner: 'sk-proj-%s'}}}" % ("a1B2" * 8),
        passing="ports.yaml: {services: {local: {owner: sk-proj is its prefix}}}",
    )
)
