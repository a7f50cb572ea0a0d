//! `user add | passwd | ls | rm`: the users of a gateway that is itself the registrar, in the file
//! that its `registrar.users` names. A password comes from a prompt or from stdin, never from an
//! argument, which others can see; the file holds hashes alone, mode 0600, and is written whole or
//! not at all. The gateway that runs takes it by a reload.

mod file;

use super::table::shown;
use super::{config, exit, folder, gateway, run};
use clap::{Args, Subcommand};
use file::Change;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

/// Shortest password, in octets, as that of a whole site.
const SHORTEST: usize = 8;
/// Longest line that is read as one.
const LONGEST: u64 = 1_024;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; its password is asked for, or read from stdin
    Add {
        /// What the phone registers as, as 101
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Give a user another password
    Passwd {
        /// What the phone registers as
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the users
    Ls {
        #[command(flatten)]
        place: Place,
    },
    /// Take a user away
    Rm {
        /// What the phone registers as
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Which file it is.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Place {
    /// The users file (else registrar.users; in site mode `users` beside the state)
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The gateway's configuration file (else as `run` finds it)
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its folder for state and audit, as with `run`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A users file, and the realm that its hashes hold.
struct Users {
    path: PathBuf,
    realm: String,
    /// It makes the one password of the site count no more.
    replaces: bool,
}

pub(super) fn user(what: UserCommand) -> u8 {
    match done(what) {
        Ok(()) => 0,
        Err((code, what)) => {
            eprint!("{what}");
            if !what.is_empty() && !what.ends_with('\n') {
                eprintln!();
            }
            code
        }
    }
}

type Fault = (u8, String);

fn no(what: impl Into<String>) -> Fault {
    (exit::NO, what.into())
}

fn done(what: UserCommand) -> Result<(), Fault> {
    let place = match &what {
        UserCommand::Add { place, .. }
        | UserCommand::Passwd { place, .. }
        | UserCommand::Ls { place }
        | UserCommand::Rm { place, .. } => place.clone(),
    };
    let users = find(&place)?;
    let (name, verb, change) = match what {
        UserCommand::Ls { .. } => {
            let text = file::read(&users.path).map_err(no)?;
            return file::names(&text, &users.realm).map_err(no).map(|all| {
                all.iter().for_each(|name| println!("{}", shown(name)));
            });
        }
        UserCommand::Add { name, .. } => (name, "added", Change::Add),
        UserCommand::Passwd { name, .. } => (name, "has another password", Change::Replace),
        UserCommand::Rm { name, .. } => (name, "taken out", Change::Remove),
    };
    file::check_name(&name).map_err(|what| (exit::USAGE, what))?;
    let is_new = !users.path.exists();
    let text = file::read(&users.path).map_err(no)?;
    // Before anybody types a password for nothing.
    file::fits(&text, &users.realm, &name, change).map_err(no)?;
    let password = match change {
        Change::Remove => None,
        Change::Add | Change::Replace => Some(password(&name).map_err(no)?),
    };
    let own = (name.as_str(), change);
    file::change(&users.path, &users.realm, own, password.as_deref()).map_err(no)?;
    println!("{name}: {verb} ({})", users.path.display());
    if is_new && users.replaces {
        eprintln!(
            "from now on the users of this file register, each by its own password: the one \
             password of the site counts no more"
        );
    }
    eprintln!("a gateway that runs takes it by: portreeve reload");
    Ok(())
}

/// The file that is meant.
fn find(place: &Place) -> Result<Users, Fault> {
    let env = run::surroundings(&[], place.data.as_deref());
    let file = gateway::file(place.config.as_deref());
    let c = match &file {
        Some(file) => config::load(file, &env),
        None => run::site_config(Some("127.0.0.1"), &env),
    };
    // What is wrong with it is told.
    let c = c.map_err(|code| (code, String::new()))?;
    let named = place.users.clone().or(c.registrar.users_file.clone().map(PathBuf::from));
    let replaces = c.registrar.users_file.is_none() && c.registrar.password_file.is_some();
    let path = match (named, &file) {
        (Some(path), _) => path,
        (None, None) => PathBuf::from(&c.state_dir).join(folder::USERS),
        (None, Some(file)) => {
            let what = format!(
                "{} names no users file: write [registrar] users = \"/etc/portreeve/users\" there \
                 (with an [[upstream]] the PBX has the users), or name one with --users",
                file.display()
            );
            return Err((exit::CONFIG, what));
        }
    };
    Ok(Users { path, realm: c.registrar.realm, replaces })
}

/// A password: asked for twice on a terminal, else the first line of stdin.
fn password(name: &str) -> Result<String, String> {
    let password = if io::stdin().is_terminal() {
        let first = hidden(&format!("password of {}: ", shown(name)))?;
        if hidden("the same once more: ")? != first {
            return Err("these were two different ones: nothing is changed".to_owned());
        }
        first
    } else {
        line()?
    };
    let fine = password.len() >= SHORTEST && !password.chars().any(char::is_control);
    fine.then_some(password).ok_or_else(|| {
        format!("a password has {SHORTEST} characters at least, on one line: nothing is changed")
    })
}

/// A line of stdin, without its end.
fn line() -> Result<String, String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut text);
    read.map_err(|e| format!("the password cannot be read: {e}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The same of a terminal that does not show what is typed.
fn hidden(prompt: &str) -> Result<String, String> {
    let told = |e: rustix::io::Errno| format!("this terminal would show it ({e}): use stdin");
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(told)?;
    let mut silent = before.clone();
    silent.local_modes &= !(LocalModes::ECHO | LocalModes::ECHONL);
    eprint!("{prompt}");
    let _ = io::stderr().flush();
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(told)?;
    let read = line();
    // As it was, whatever came.
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(told)?;
    eprintln!();
    read
}
