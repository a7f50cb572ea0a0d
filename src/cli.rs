//! The commands, one a file. Data goes to stdout, words to stderr.

mod audit;
mod bans;
mod calls;
mod config;
mod control;
mod doctor;
mod drain;
mod folder;
mod gateway;
mod health;
mod http;
mod log;
mod named;
mod page;
mod ports;
mod registrations;
mod reload;
mod run;
mod selftest;
mod status;
mod table;
mod tunnel;
mod user;

use clap::{Args, Parser, Subcommand, ValueEnum};
use named::{FileArgs, Named};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit codes (sysexits).
pub(crate) mod exit {
    /// A check said no.
    pub(crate) const NO: u8 = 1;
    /// Wrong use.
    pub(crate) const USAGE: u8 = 2;
    /// The running gateway does not answer.
    pub(crate) const UNREACHABLE: u8 = 69;
    /// Not allowed.
    pub(crate) const PERMISSION: u8 = 77;
    /// The configuration is wrong.
    pub(crate) const CONFIG: u8 = 78;
}

const EXAMPLES: &str = "\
Examples:
  portreeve                              a phone system for this LAN, no file needed
  portreeve run -c /etc/portreeve/portreeve.toml
  portreeve config check FILE            every mistake at once
  portreeve doctor                       ok, or what to do: names, ports, routes, clock, …
  portreeve selftest                     a real call through a second instance, in seconds
  portreeve health                       is the running gateway fit for calls?
  portreeve status                       how it stands; also: calls, registrations
  portreeve calls show 7                 one call: parties, media, quality, findings
  portreeve reload                       read the file anew, whole or not at all
  portreeve page                         the link that opens the page in a browser
  portreeve drain                        no new calls; end with the last one
  portreeve ports --as nft               what the firewall must open
  portreeve audit verify                 was the log changed? also: audit show --since 1h
  portreeve user add 101                 a user with a password of its own (site mode)

Exit codes: 0 done, 1 a check or the gateway said no, 2 usage, 69 cannot bind or reach,
74 state or audit volume, 77 permission, 78 configuration.";

/// A SIP-aware application-layer gateway: the gate between a site's phones and the outside.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, after_help = EXAMPLES)]
// Options before a command would be those of `run`, and silently lost for any other.
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default); SIGTERM drains, a second one stops, SIGHUP reloads
    Run(Named<RunArgs>),
    /// Check, show or write a configuration
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Look after the audit log
    Audit {
        #[command(subcommand)]
        what: audit::AuditCommand,
    },
    /// Keep the users of a gateway that is itself the registrar
    User {
        #[command(subcommand)]
        what: user::UserCommand,
    },
    /// Place real calls through a second instance of this binary; exit code 0 or 1
    Selftest,
    /// Look at this machine, the way to its upstreams and their answers: ok, or what to do
    Doctor(Named<DoctorArgs>),
    /// Ask the running gateway whether it is fit for calls; exit code 0 or 1
    Health(Named<HealthArgs>),
    /// Print what the firewall must open
    Ports(Named<PortsArgs>),
    /// How the running gateway stands
    Status {
        /// Who holds how much of every table that has shares
        #[arg(long)]
        shares: bool,
        #[command(flatten)]
        gateway: Named<ControlArgs>,
    },
    /// List its calls, show one whole, or hang one up
    #[command(args_conflicts_with_subcommands = true)]
    Calls {
        #[command(subcommand)]
        what: Option<CallsCommand>,
        /// Those that are over, the last N of them (20)
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
        last: Option<u32>,
        #[command(flatten)]
        list: ControlArgs,
    },
    /// Print the link that opens its page in a browser of this machine
    Page(Named<ControlArgs>),
    /// List the phones registered through it
    Registrations(Named<ControlArgs>),
    /// List who is banned and who is nearest to it, or lift a ban
    #[command(args_conflicts_with_subcommands = true)]
    Bans {
        #[command(subcommand)]
        what: Option<BansCommand>,
        #[command(flatten)]
        list: ControlArgs,
    },
    /// Tunnels to other gateways
    Tunnel {
        #[command(subcommand)]
        what: TunnelCommand,
    },
    /// Have it read its configuration anew, whole or not at all (as SIGHUP); 78: refused
    Reload(Named<ControlArgs>),
    /// Have it admit no new calls and end with its last one (as SIGTERM)
    Drain(Named<ControlArgs>),
}

#[derive(Debug, Subcommand)]
enum CallsCommand {
    /// Parties, media, quality and findings of one call, or of one that is over
    Show {
        /// Its number, as `calls` lists it
        id: u64,
        #[command(flatten)]
        gateway: ControlArgs,
    },
    /// End one call: BYE to both sides
    Hangup {
        /// Its number, as `calls` lists it
        id: u64,
        #[command(flatten)]
        gateway: ControlArgs,
    },
}

#[derive(Debug, Subcommand)]
enum TunnelCommand {
    /// Make this gateway's key, once, and print its public half for the other end
    Keygen {
        /// The key file (else tunnel.key in the folder for state)
        file: Option<PathBuf>,
        /// Folder for state and audit, as with `run`
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// How the tunnels of the running gateway stand, what they carry, and how their way is
    Status(Named<ControlArgs>),
}

#[derive(Debug, Subcommand)]
enum BansCommand {
    /// End a ban and forgive what led to it
    Lift {
        /// An address, as `bans` lists it, or `all`
        whom: String,
        #[command(flatten)]
        gateway: ControlArgs,
    },
}

/// Which running gateway a command talks to, by its control socket.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ControlArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Its control.socket (else as its configuration says)
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Its configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Its folder for state and audit, as with `run`
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Its override of control.socket
    #[arg(long = "set", value_name = "KEY=VALUE", hide = true)]
    pub(crate) set: Vec<String>,
}

#[derive(Args, Clone, Debug, Default)]
struct PortsArgs {
    /// For nftables, as ufw commands, or as arguments of `docker run` (default: a table)
    #[arg(long = "as", value_name = "FORM")]
    form: Option<PortsForm>,
    /// Configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Site mode: as with `run`
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    listen: Option<String>,
    /// Override one key, as with `run`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Args, Clone, Debug, Default)]
struct DoctorArgs {
    /// Print JSON: an array of { check, ok, what, todo }
    #[arg(long)]
    json: bool,
    /// Configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for state and audit, as with `run`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Site mode: as with `run`
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    listen: Option<String>,
    /// Override one key, as with `run`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PortsForm {
    Nft,
    Ufw,
    Docker,
}

/// Which running gateway a command talks to.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GatewayArgs {
    /// Its http.listen (else as its configuration says)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) at: Option<SocketAddr>,
    /// Its configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Its override of http.listen
    #[arg(long = "set", value_name = "KEY=VALUE", hide = true)]
    pub(crate) set: Vec<String>,
}

#[derive(Args, Clone, Debug, Default)]
struct HealthArgs {
    /// Only whether it answers; a gateway that drains is live but not ready
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RunArgs {
    /// Configuration file (else PORTREEVE_CONFIG, /etc/portreeve/portreeve.toml, else site mode)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for state and audit where the file names none (else PORTREEVE_DATA; without both
    /// /var/lib/portreeve with a file or as root, else ~/.local/state/portreeve)
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Site mode: address or address:port to listen at
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) listen: Option<String>,
    /// Override one key, as media.ports=30000-30399 (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Skip the test call at the start of site mode
    #[arg(long)]
    pub(crate) no_selftest: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with a file, and with the files that it names
    Check(Named<FileArgs>),
    /// Print the values in effect, and the fixed limits
    Show(Named<FileArgs>),
    /// Print a commented file to start from
    Init,
}

/// Arguments → exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return named::refused(&error),
    };
    let code = match cli.command {
        None => run::run(cli.run),
        Some(Command::Run(args)) => run::run(args.whole()),
        Some(Command::Config { what: ConfigCommand::Check(file) }) => config::check(file.path()),
        Some(Command::Config { what: ConfigCommand::Show(file) }) => config::show(file.path()),
        Some(Command::Config { what: ConfigCommand::Init }) => config::init(),
        Some(Command::Audit { what }) => audit::audit(what),
        Some(Command::User { what }) => user::user(what),
        Some(Command::Selftest) => selftest::selftest(),
        Some(Command::Doctor(args)) => doctor::doctor(&args.whole()),
        Some(Command::Health(args)) => health::health(&args.whole()),
        Some(Command::Ports(args)) => ports::ports(&args.whole()),
        Some(Command::Status { shares: true, gateway }) => status::shares(&gateway.whole()),
        Some(Command::Status { shares: false, gateway }) => status::status(&gateway.whole()),
        Some(Command::Calls { what: None, last: None, list }) => calls::calls(&list),
        Some(Command::Calls { what: None, last: Some(n), list }) => calls::last(&list, n),
        Some(Command::Calls { what: Some(CallsCommand::Show { id, gateway }), .. }) => {
            calls::show(&gateway, id)
        }
        Some(Command::Calls { what: Some(CallsCommand::Hangup { id, gateway }), .. }) => {
            calls::hang_up(&gateway, id)
        }
        Some(Command::Page(args)) => page::page(&args.whole()),
        Some(Command::Registrations(args)) => registrations::registrations(&args.whole()),
        Some(Command::Bans { what: None, list }) => bans::bans(&list),
        Some(Command::Bans { what: Some(BansCommand::Lift { whom, gateway }), .. }) => {
            bans::lift(&gateway, &whom)
        }
        Some(Command::Tunnel { what: TunnelCommand::Keygen { file, data } }) => {
            tunnel::keygen(file, data)
        }
        Some(Command::Tunnel { what: TunnelCommand::Status(args) }) => {
            tunnel::status(&args.whole())
        }
        Some(Command::Reload(args)) => reload::reload(&args.whole()),
        Some(Command::Drain(args)) => drain::drain(&args.whole()),
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::Parser;

    #[test]
    fn an_option_is_never_lost_before_a_command() {
        let parsed = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parsed("portreeve -c f.toml") && parsed("portreeve run -c f.toml"));
        for command in ["run", "status", "config show f.toml", "bans", "health", "doctor"] {
            assert!(parsed(&format!("portreeve {command}")), "{command}");
            assert!(!parsed(&format!("portreeve -c f.toml {command}")), "{command}");
            assert!(!parsed(&format!("portreeve --data d {command}")), "{command}");
        }
    }
}
