//! A configuration file as an argument: `FILE` and `-c FILE` mean the same, wherever a command has
//! one. It reads none.

use super::{ControlArgs, DoctorArgs, HealthArgs, PortsArgs, RunArgs, exit};
use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments with `-c FILE` among them.
pub(super) trait Configured: Args {
    /// The file that was named.
    fn file(&mut self) -> &mut Option<PathBuf>;
}

/// `-c FILE` and nothing else.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FileArgs {
    /// Configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The same arguments, where the file may stand alone, too.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Named<T: Args> {
    /// As -c FILE
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    rest: T,
}

impl<T: Configured> Named<T> {
    /// The arguments, with the file in its one place.
    pub(super) fn whole(mut self) -> T {
        if self.file.is_some() {
            *self.rest.file() = self.file;
        }
        self.rest
    }
}

impl Named<FileArgs> {
    /// The file that was named.
    pub(super) fn path(self) -> Option<PathBuf> {
        self.whole().config
    }
}

impl Configured for FileArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.config
    }
}

impl Configured for RunArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.config
    }
}

impl Configured for ControlArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.config
    }
}

impl Configured for DoctorArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.config
    }
}

impl Configured for PortsArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.config
    }
}

impl Configured for HealthArgs {
    fn file(&mut self) -> &mut Option<PathBuf> {
        &mut self.gateway.config
    }
}

/// Arguments that cannot be: said, with what may have been meant.
pub(super) fn refused(error: &clap::Error) -> ExitCode {
    // Nobody may be reading any more.
    let _ = error.print();
    if let Some(file) = meant(error) {
        eprintln!("\n  tip: a configuration file is named by -c: portreeve … -c {file}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE))
}

/// A file that stands where no command takes one alone.
fn meant(error: &clap::Error) -> Option<String> {
    let kinds = [
        (ErrorKind::InvalidSubcommand, ContextKind::InvalidSubcommand),
        (ErrorKind::UnknownArgument, ContextKind::InvalidArg),
    ];
    let (_, at) = kinds.into_iter().find(|(kind, _)| *kind == error.kind())?;
    let Some(ContextValue::String(word)) = error.get(at) else { return None };
    let is_file = word.contains('/') || Path::new(word).extension().is_some_and(|e| e == "toml");
    is_file.then(|| super::table::shown(word))
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command, ConfigCommand};
    use super::*;
    use clap::Parser as _;

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command.expect("a command"))
    }

    /// The file that a command is about.
    fn file(line: &str) -> Option<PathBuf> {
        match parsed(line).unwrap_or_else(|e| panic!("{line}: {e}")) {
            Command::Run(args) => args.whole().config,
            Command::Config { what: ConfigCommand::Check(file) | ConfigCommand::Show(file) } => {
                file.path()
            }
            Command::Doctor(args) => args.whole().config,
            Command::Health(args) => args.whole().gateway.config,
            Command::Ports(args) => args.whole().config,
            Command::Status { gateway, .. } => gateway.whole().config,
            Command::Page(args)
            | Command::Registrations(args)
            | Command::Reload(args)
            | Command::Drain(args) => args.whole().config,
            Command::Config { .. }
            | Command::Audit { .. }
            | Command::Selftest
            | Command::Tunnel { .. }
            | Command::Calls { .. }
            | Command::Bans { .. }
            | Command::User { .. } => panic!("{line} has no file alone"),
        }
    }

    #[test]
    fn a_file_is_named_alone_or_by_its_option_and_not_twice() {
        for command in [
            "run",
            "config check",
            "config show",
            "doctor",
            "health",
            "ports",
            "status",
            "status --shares",
            "page",
            "registrations",
            "reload",
            "drain",
        ] {
            let named = Some(PathBuf::from("f.toml"));
            for how in ["f.toml", "-c f.toml", "--config f.toml", "--config=f.toml"] {
                assert_eq!(file(&format!("portreeve {command} {how}")), named, "{command} {how}");
            }
            assert_eq!(file(&format!("portreeve {command}")), None);
            let twice = parsed(&format!("portreeve {command} f.toml -c g.toml")).unwrap_err();
            assert_eq!(twice.kind(), ErrorKind::ArgumentConflict, "{command}");
        }
    }

    #[test]
    fn a_file_where_none_can_stand_alone_is_told_how_it_is_named() {
        for (line, file) in [
            ("portreeve /etc/portreeve/site", Some("/etc/portreeve/site")),
            ("portreeve site.toml", Some("site.toml")),
            ("portreeve calls site.toml", Some("site.toml")),
            ("portreeve bans ./x", Some("./x")),
            ("portreeve selftest site.toml", Some("site.toml")),
            ("portreeve statsu", None),
            ("portreeve calls shwo", None),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(meant(&error).as_deref(), file, "{line}");
        }
    }
}
