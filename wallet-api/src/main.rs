//! `tessera`: the command line. See [`wallet_api::commands`].

use std::process::ExitCode;

fn main() -> ExitCode {
    wallet_api::commands::main()
}
