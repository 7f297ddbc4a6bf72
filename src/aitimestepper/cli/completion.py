"""`aitimestepper completion`: a script with which bash, zsh or fish completes the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .arguments import Request
from .command_tree import Argument, Command, command_tree, every_command

HEAD = "# Completion of aitimestepper for {0}, made by: aitimestepper completion {0}\n"
LONGEST = 90  # characters of a description


def run(request: Request) -> int:
    """Print the script, and return the exit code."""
    assert request.options is not None
    print(script_for(request.options.shell), end="")
    return 0


def script_for(shell: str) -> str:
    """Return the script for a shell."""
    return HEAD.format(shell) + SCRIPTS[shell](command_tree())


# ---- bash ------------------------------------------------------------------------------------------------------------
_BASH = r"""
_aitimestepper() {
    local cur="${COMP_WORDS[COMP_CWORD]}" command="" flag="" place=0 word i
    COMPREPLY=()
    [[ $cur == "=" ]] && cur=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$word" in
            "=" | "") ;;
            -*) flag="$word"; [[ " @BARE@ " == *" $word "* ]] && flag="" ;;
            *)
                if [[ -n $flag ]]; then [[ " @MANY@ " == *" $flag "* ]] || flag=""
                elif [[ -z $command ]]; then command="$word"
                elif [[ $place == 0 && " @PARENTS@ " == *" $command "* ]]; then command="$command $word"
                else place=$((place + 1)); fi ;;
        esac
    done
    [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[COMP_CWORD - 1]} == ":" ]] && return
    if [[ $cur != -* && -n $flag ]]; then
        case "$command $flag" in
@VALUES@
        esac
    fi
    if [[ $cur == -* ]]; then
        case "$command" in
@FLAGS@
        esac
        return
    fi
    [[ -n $flag ]] && return
    case "$command/$place" in
@PLACES@
    esac
}
complete -o default -o bashdefault -F _aitimestepper aitimestepper
"""


def _bash(tree: Command) -> str:
    commands = list(every_command(tree))
    every = [(c, a) for c in commands for a in c.flags]
    values = [f"            {_patterns(c, a)}) {_bash_reply(a)}return ;;" for c, a in every if a.values]
    bare, many = ({f for _, a in every for f in a.flags if a.takes == takes} for takes in ("none", "many"))
    flags = [f'            "{c.words}") {_bash_words(f for a in c.flags for f in a.flags)} ;;' for c in commands if c.flags]
    places = [
        f'        "{c.words}/0") {_bash_words(x.words.split()[-1] for x in c.commands)} ;;' for c in commands if c.commands
    ]
    places += [f'        "{c.words}/{k}") {_bash_reply(a)};;' for c in commands for k, a in enumerate(c.places)]
    parents = " ".join(c.words for c in commands if c.commands and c.words)
    words = {"PARENTS": parents, "BARE": " ".join(sorted(bare)), "MANY": " ".join(sorted(many))}
    parts = {**words, "VALUES": "\n".join(values), "FLAGS": "\n".join(flags), "PLACES": "\n".join(places)}
    return re.sub(r"@([A-Z]+)@", lambda m: parts[m[1]], _BASH)


def _patterns(command: Command, flag: Argument) -> str:
    return " | ".join(f'"{command.words} {name}"' for name in flag.flags)


def _bash_words(words: Iterable[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))'


def _bash_reply(argument: Argument) -> str:
    """Return the commands that complete a value; where nothing is offered, bash completes files by itself."""
    if not argument.values:
        return ""
    files = ' $(compgen -f -- "$cur")' if argument.files else ""
    return f'COMPREPLY=($(compgen -W "{" ".join(argument.values)}" -- "$cur"){files}); '


# ---- zsh -------------------------------------------------------------------------------------------------------------
_ZSH_END = """\
if [ "$funcstack[1]" = "_aitimestepper" ]; then
    _aitimestepper "$@"
else
    compdef _aitimestepper aitimestepper
fi
"""


def _zsh(tree: Command) -> str:
    """Return a function for each command that has others below it, and one for each of these."""
    functions = "\n".join(_zsh_function(command) for command in every_command(tree))
    return f"#compdef aitimestepper\n\n{functions}\n{_ZSH_END}"


def _zsh_function(command: Command) -> str:
    name = _zsh_name(command)
    flags = [_zsh_flag(argument) for argument in command.flags]
    if not command.commands:
        places = [f"'{k + 1}:{_zsh_text(a.help) or 'argument'}:{_zsh_action(a)}'" for k, a in enumerate(command.places)]
        lines = " \\\n        ".join([*flags, *places])
        return f"{name}() {{\n    _arguments \\\n        {lines}\n}}\n"
    described = "\n        ".join(f"'{c.words.split()[-1]}:{_zsh_text(c.help)}'" for c in command.commands)
    calls = "\n".join(f"        {c.words.split()[-1]}) {_zsh_name(c)} ;;" for c in command.commands)
    lines = " \\\n        ".join([*flags, "'1:command:->command'", "'*::argument:->argument'"])
    return f"""{name}() {{
    local state line
    local -a commands=(
        {described}
    )
    _arguments -C \\
        {lines}
    case $state in
    command) _describe command commands ;;
    argument)
        case $line[1] in
{calls}
        esac ;;
    esac
}}
"""


def _zsh_name(command: Command) -> str:
    return "_".join(["_aitimestepper", *command.words.split()])


def _zsh_flag(argument: Argument) -> str:
    """Return one flag, or several that exclude each other, as `_arguments` takes them."""
    help_text = _zsh_text(argument.help)
    ends = {"none": "", "one": ":value:", "many": ":*-*:value:"}  # many: up to the next flag
    value = ends[argument.takes] + ("" if argument.takes == "none" else _zsh_action(argument))
    return " ".join(f"'{flag}[{help_text}]{value}'" for flag in argument.flags)


def _zsh_action(argument: Argument) -> str:
    if argument.values and argument.files:
        return f"{{compadd {' '.join(argument.values)}; _files}}"
    return f"({' '.join(argument.values)})" if argument.values else "_files" if argument.files else " "


def _zsh_text(text: str) -> str:
    """Return a description without what `_arguments` gives a meaning to."""
    return re.sub(r"[\[\]:'\\`$]", " ", _short(text))


# ---- fish ------------------------------------------------------------------------------------------------------------
# whether the last flag on the line is one of the arguments, so that a further value of it can follow
_FISH_AFTER = """\
function __aitimestepper_after
    set -l flags (string match -- '-*' (commandline -opc))
    test (count $flags) -gt 0; and contains -- $flags[-1] $argv
end
"""


def _fish(tree: Command) -> str:
    lines = [_FISH_AFTER + "complete -c aitimestepper -f"]
    for command in every_command(tree):
        begin = f"complete -c aitimestepper -n '{_fish_condition(command)}'"
        for inner in command.commands:
            lines.append(f"{begin} -a {inner.words.split()[-1]} -d {_fish_text(inner.help)}")
        lines += [f"{begin} {_fish_value(argument)}" for argument in command.places if argument.values or argument.files]
        for argument in command.flags:
            value = "" if argument.takes == "none" else f" {_fish_value(argument)}"
            for flag in argument.flags:
                kind = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                lines.append(f"{begin} {kind}{value} -d {_fish_text(argument.help)}")
            if argument.takes == "many" and argument.values:
                after = f"{_fish_condition(command)}; and __aitimestepper_after {' '.join(argument.flags)}"
                lines.append(f"complete -c aitimestepper -n '{after}' -a '{' '.join(argument.values)}'")
    return "\n".join(lines) + "\n"


def _fish_condition(command: Command) -> str:
    """Return when the words so far are those of a command; of one with others below it, none of these."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.words.split()]
    if command.commands:
        inner = " ".join(c.words.split()[-1] for c in command.commands)
        seen.append("__fish_use_subcommand" if not command.words else f"not __fish_seen_subcommand_from {inner}")
    return "; and ".join(seen)


def _fish_value(argument: Argument) -> str:
    values = f" -a '{' '.join(argument.values)}'" if argument.values else ""
    if not argument.flags:
        return ("-F" if argument.files else "") + values
    return ("-r -F" if argument.files else "-x") + values


def _fish_text(text: str) -> str:
    return "'" + _short(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _short(text: str) -> str:
    """Return the beginning of a description: shells show one line."""
    first = re.split(r"; | \(", text, maxsplit=1)[0]
    return first if len(first) <= LONGEST else f"{first[: LONGEST - 3]}..."


SCRIPTS: dict[str, Callable[[Command], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
