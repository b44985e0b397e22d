/* SPDX-License-Identifier: BSD-2-Clause */
/* The subcommands. argv[0] is "appmon NAME"; they return the exit status. */
#ifndef APPMON_CLI_COMMANDS_H
#define APPMON_CLI_COMMANDS_H

int command_watch(int argc, char **argv);
int command_run(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_top(int argc, char **argv);
int command_topology(int argc, char **argv);
int command_console(int argc, char **argv);
int command_export(int argc, char **argv);
int command_agent(int argc, char **argv);
int command_capabilities(int argc, char **argv);

#endif /* APPMON_CLI_COMMANDS_H */
