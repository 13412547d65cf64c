"""The subcommands of `hxtorch`: every module here holds one `COMMAND` (see `hxtorch.cli.command`)."""
