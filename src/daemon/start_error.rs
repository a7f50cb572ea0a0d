//! Why the gateway did not start, and what to do about it.

use crate::config::{Diagnostic, Listener};
use crate::driver::holders::Process;
use crate::driver::state::StateError;
use crate::driver::tunnel::TunnelError;
use crate::ground::Transport;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// What could not be had at the start.
#[derive(Debug)]
pub enum StartError {
    /// A SIP socket.
    Bind {
        /// Which.
        listener: Listener,
        /// What the kernel said.
        error: io::Error,
    },
    /// The state folder, a password or a users file.
    State(StateError),
    /// The audit folder.
    Audit(io::Error),
    /// Relay threads.
    Relay(io::Error),
    /// The thread that answers readers.
    Desk(io::Error),
    /// The metrics listener.
    Http(SocketAddr, io::Error),
    /// The control socket.
    Control(String, io::Error),
    /// Certificates, keys and authorities; a line each.
    Tls(String),
    /// A tunnel.
    Tunnel(TunnelError),
    /// A rule or its test.
    Rules(Vec<Diagnostic>),
    /// Too few open files for `limits.calls`.
    Files {
        /// What is needed.
        need: u64,
        /// What is allowed.
        have: u64,
    },
}

impl From<StateError> for StartError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl StartError {
    /// Exit code, by sysexits: 69 cannot bind, 74 state or audit volume, 77 permission, 78
    /// configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bind { error, .. } | Self::Http(_, error) | Self::Control(_, error)
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                77
            }
            Self::Tunnel(TunnelError::Listen { error, .. })
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                77
            }
            Self::Tunnel(TunnelError::Key { .. }) => 78,
            Self::Bind { .. }
            | Self::Http(..)
            | Self::Control(..)
            | Self::Relay(_)
            | Self::Desk(_)
            | Self::Tunnel(_)
            | Self::Files { .. } => 69,
            Self::State(e) if e.busy => 69,
            Self::State(_) | Self::Audit(_) => 74,
            Self::Rules(_) | Self::Tls(_) => 78,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { listener, error } => bind(f, listener, error),
            Self::State(e) => write!(f, "{e}"),
            Self::Audit(e) => write!(f, "{e}"),
            Self::Relay(e) => write!(f, "relay threads cannot start: {e}"),
            Self::Desk(e) => write!(f, "the thread for metrics and commands cannot start: {e}"),
            Self::Http(at, e) => {
                write!(f, "metrics cannot listen at {at}: {e}")?;
                holder(f, *at, Transport::Tcp)?;
                write!(f, "\n  choose another port: --set http.listen=127.0.0.1:PORT, or \"off\"")
            }
            Self::Control(path, e) => control(f, path, e),
            Self::Tls(what) => write!(f, "TLS: {what}"),
            Self::Tunnel(e) => tunnel(f, e),
            Self::Rules(all) => all.iter().try_for_each(|d| write!(f, "{d}")),
            Self::Files { need, have } => write!(
                f,
                "only {have} files may be open, limits.calls and limits.connections need {need}\n  \
                 raise it (ulimit -n {need}, LimitNOFILE={need}) or lower them"
            ),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn bind(f: &mut fmt::Formatter<'_>, l: &Listener, error: &io::Error) -> fmt::Result {
    let (at, transport) = (l.bind, l.transport);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            write!(f, "{transport} {at} is in use")?;
            holder(f, at, transport)?;
            let free = SocketAddr::new(at.ip(), at.port().saturating_add(2));
            write!(
                f,
                "\n  stop it, or listen elsewhere: --listen {free} (with a file: listen = \
                 [\"{transport}:{}\"])",
                free.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "{at} is not an address of this machine\n  name one that is with --listen, or as the \
             interface's `address` or `device` (ip -brief address lists them)"
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "{transport} {at}: not permitted\n  ports below 1024 need CAP_NET_BIND_SERVICE; 5060 \
             needs no right"
        ),
        _ => write!(f, "{transport} {at}: {error}"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn tunnel(f: &mut fmt::Formatter<'_>, error: &TunnelError) -> fmt::Result {
    let TunnelError::Listen { interface, at, transport, error: why } = error else {
        return write!(f, "tunnel: {error}");
    };
    match why.kind() {
        io::ErrorKind::AddrInUse => {
            write!(f, "tunnel: interface \"{interface}\": {transport} {at} is in use")?;
            holder(f, *at, *transport)?;
            write!(
                f,
                "\n  stop it, or listen elsewhere (`listen` of the interface, and the port of \
                 `connect` at its sites)"
            )
        }
        io::ErrorKind::PermissionDenied => write!(
            f,
            "tunnel: interface \"{interface}\": {transport} {at}: not permitted\n  ports below \
             1024 need CAP_NET_BIND_SERVICE (configs/portreeve.service says how); any other needs \
             no right"
        ),
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "tunnel: {at} is not an address of this machine\n  name one that is, as `address` of \
             interface \"{interface}\", or leave it out (ip -brief address lists them)"
        ),
        _ => write!(f, "tunnel: {error}"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn control(f: &mut fmt::Formatter<'_>, path: &str, error: &io::Error) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "another portreeve takes commands at {path}\n  stop it, or give this one its own with \
             control.socket"
        ),
        io::ErrorKind::AlreadyExists => {
            write!(f, "{path}: {error}\n  move it away, or choose another path with control.socket")
        }
        io::ErrorKind::InvalidInput => write!(
            f,
            "{path}: too long for a unix socket (107 octets)\n  choose a shorter one with \
             control.socket, or \"off\""
        ),
        _ => write!(
            f,
            "control socket {path}: {error}\n  choose a path that this user may write with \
             control.socket, or \"off\""
        ),
    }
}

/// Names the process that holds a port, when /proc shows it.
fn holder(f: &mut fmt::Formatter<'_>, at: SocketAddr, transport: Transport) -> fmt::Result {
    match crate::driver::holders::holder(at, transport) {
        Some(Process { pid, name, .. }) => write!(f, " by {name} (pid {pid})"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    fn told(at: SocketAddr, transport: Transport, kind: io::ErrorKind) -> StartError {
        let (interface, error) = ("sites".to_owned(), kind.into());
        StartError::Tunnel(TunnelError::Listen { interface, at, transport, error })
    }

    #[test]
    fn a_tunnels_port_that_is_taken_names_who_has_it_and_what_to_do() {
        let (udp, tcp) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let ours = format!("(pid {})", std::process::id());
        for (at, transport) in [
            (udp.local_addr().unwrap(), Transport::Udp),
            (tcp.local_addr().unwrap(), Transport::Tcp),
        ] {
            let fault = told(at, transport, io::ErrorKind::AddrInUse);
            let said = fault.to_string();
            assert!(said.contains(&format!("{transport} {at} is in use by ")), "{said}");
            assert!(said.contains(&ours) && said.contains("`connect` at its sites"), "{said}");
            assert_eq!(fault.exit_code(), 69);
        }
        let at = "[::]:443".parse().unwrap();
        let fault = told(at, Transport::Udp, io::ErrorKind::PermissionDenied);
        assert!(fault.to_string().contains("CAP_NET_BIND_SERVICE"), "{fault}");
        assert_eq!(fault.exit_code(), 77);
    }
}
