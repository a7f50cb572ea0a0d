//! portreeve: a SIP-aware application-layer gateway. One line a layer; a layer may use only those
//! above it. Left of the seam (everything but feature `daemon`) nothing reads a clock, a socket, a
//! file or a random source.

#[cfg(not(target_os = "linux"))]
compile_error!("portreeve runs on Linux only: it relies on epoll and on socket filters");

/// The HTTP side: metrics and health.
#[cfg(feature = "daemon")]
pub mod admin;
/// Audit records and the hash chain that makes edits visible.
pub mod audit;
/// The commands.
#[cfg(feature = "daemon")]
pub mod cli;
/// The configuration file: raw shape → checked types, every error with its place and a hint.
pub mod config;
/// The running gateway: one event loop, effects carried out.
#[cfg(feature = "daemon")]
pub mod daemon;
/// Everything that touches the kernel: sockets, threads, files. Decides nothing.
#[cfg(feature = "daemon")]
pub mod driver;
/// The gateway itself as one sans-IO machine: inputs in, outputs out.
pub mod engine;
/// Words that every layer speaks: time, sides, transports, flows.
pub mod ground;
/// Rules: facts in, verdict out. Pure; first match wins.
pub mod policy;
/// Media: port pairs, source checks, forwarding decisions, counters.
pub mod relay;
/// Two built-in phones that call each other through a second gateway.
#[cfg(feature = "daemon")]
pub mod selftest;
/// Bytes ↔ types: SIP, SDP, RTP, RTCP. The unknown passes, the ambiguous is refused.
pub mod wire;
