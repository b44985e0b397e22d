#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The options that "appmon COMMAND --help" lists are those of the command's page, and every command
has one."""
import pathlib
import re
import subprocess
import sys


def help_of(program, *command):
    return subprocess.run([program, *command, "--help"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def options_of_help(text):
    """{(short, long, argument)}: "" where there is none."""
    return {(short or "", long or "", argument or "") for short, long, argument in re.findall(
        r"^ {2,6}(?:-(\S)(?:, |$))? *(?:--([\w-]+)(?:=(\S+))?)?(?=\s|$)", text, re.M)
        if short or long}


def options_of_page(text):
    options = set()
    for item in re.findall(r"^\.It (Fl .*)$", text, re.M):
        item = item.replace(r"\&", "")
        short = re.match(r"Fl ([^- ])(?: |$)", item)
        long = re.search(r"Fl -([\w-]+)", item)
        argument = re.search(r"Ar (\S+)", item)
        options.add(tuple(m[1] if m else "" for m in (short, long, argument)))
    return options


def main():
    directory, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    overview = help_of(program)
    commands = re.findall(r"^  ([a-z]+) {2,}", overview.split("Commands:")[1], re.M)
    pages = {"": (directory / "appmon.1").read_text()}
    problems = []
    for command in commands:
        if f".It Xr appmon-{command} 1" not in pages[""] and command != "help":
            problems.append(f"appmon.1 does not list {command}")
        page = directory / f"appmon-{command}.1"
        if page.exists():
            pages[command] = page.read_text()
        elif command != "help":
            problems.append(f"{command} has no page")
    for page in directory.glob("appmon-*.1"):
        if page.stem.removeprefix("appmon-") not in commands:
            problems.append(f"{page.name}: there is no such command")
    for command, page in pages.items():
        listed = options_of_help(help_of(program, *([command] if command else [])))
        described = options_of_page(page)
        assert listed, command
        for option in listed - described:
            problems.append(f"appmon {command}: {option} is in --help, not in the page")
        for option in described - listed:
            problems.append(f"appmon {command}: {option} is in the page, not in --help")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(commands)} commands")


main()
