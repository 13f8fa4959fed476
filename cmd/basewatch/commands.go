package main

import "github.com/spf13/cobra"

// commands are all subcommands, in the order of --help.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.runCommand(), c.checkCommand(), c.statusCommand(), c.historyCommand(), c.explainCommand(),
		c.deliveriesCommand(), c.retryCommand(), c.replayCommand(), c.testCommand(),
		c.configCommand(), c.reloadCommand(), c.backupCommand(), c.versionCommand(), c.checkStoreCommand(),
	}
}
