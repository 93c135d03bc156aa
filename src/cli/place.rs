//! Where the store is, for the commands that read it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{ConfigFile, DEFAULT_CONFIG};
use crate::config::Config;

/// The store of a daemon that was started without a configuration of the system, in this folder.
const HERE: &str = "switchhook.db";

/// Where the store is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Place {
    /// The configuration, which says where the store is [default: /etc/switchhook/config.toml; where there is none,
    /// the store is ./switchhook.db]
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    config: Option<PathBuf>,
    /// The store itself
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

impl Place {
    /// The database file, and the configuration where it was read to find it.
    pub(super) fn find(&self) -> Result<(PathBuf, Option<Config>), ExitCode> {
        if let Some(store) = &self.store {
            return Ok((store.clone(), None));
        }
        let default = Path::new(DEFAULT_CONFIG);
        let path = match &self.config {
            Some(path) => path.clone(),
            None if default.exists() => default.to_owned(),
            None => return Ok((HERE.into(), None)),
        };
        let config = ConfigFile { path }.read()?;
        Ok((config.store.path.clone(), Some(config)))
    }
}
