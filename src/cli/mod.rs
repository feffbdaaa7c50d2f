//! The command line.

mod ask;
mod check;
mod components;
mod health;
mod lines;
mod load;
mod logging;
mod run;
mod signals;
mod startup;
mod status;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// StatsD, Gunicorn and log files in; Datadog and OTLP out
#[derive(Parser)]
#[command(name = "hornpipe", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the pipeline (the default command)
    Run(ConfigArgs),
    /// Report every problem of the configuration with its place; ends with 0 (valid) or 1
    Validate(ConfigArgs),
    /// List the components that are built in
    Components,
    /// Say how the running process and each of its components is doing; ends with 0, 1 (something is in error) or 2 (no answer)
    Status(status::StatusArgs),
    /// Run a check once and print what would be sent
    Check {
        #[command(subcommand)]
        check: check::CheckCommand,
    },
    /// Ask whether the running process works; ends with 0 or 1
    Health(health::HealthArgs),
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigArgs {
    /// Configuration file; may be given several times, later files win
    #[arg(long, short, value_name = "FILE", default_value = "pipeline.yaml")]
    config: Vec<PathBuf>,
}

/// Carries out the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Run(cli.config)) {
        Command::Run(args) => run::run(&args.config),
        Command::Validate(args) => validate::validate(&args.config),
        Command::Components => components::components(),
        Command::Status(args) => status::status(&args),
        Command::Check { check } => check::check(&check),
        Command::Health(args) => health::health(&args),
    }
}
