//! `health`: is the running gateway fit for calls? Exit code 0 or 1, one line says why. Made for
//! container and service supervision, so every failure is 1.

use super::{HealthArgs, exit, gateway, http};

pub(super) fn health(args: &HealthArgs) -> u8 {
    let path = if args.live { "/live" } else { "/ready" };
    let answer = gateway::address(&args.gateway).and_then(|at| {
        let told = http::ask(&http::At::Tcp(at), "GET", path, http::PATIENCE);
        told.map_err(|e| e.to_string())
    });
    match answer {
        Ok(a) if a.is_success() => {
            println!("{}", a.body.trim_end());
            0
        }
        Ok(a) => {
            eprintln!("not healthy: {} ({path} answers {})", a.body.trim_end(), a.status);
            exit::NO
        }
        Err(what) => {
            eprintln!("not healthy: {what}");
            exit::NO
        }
    }
}
