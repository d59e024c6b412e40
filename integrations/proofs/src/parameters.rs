//! The folder of verifying keys, and the check of its files by the published digests.
//!
//! Nothing is downloaded: a missing or altered file is an error that names it. The digests are those of the files
//! `parameters.json` and `srs-inner-product.json` of the crate `storage-proofs-core`.

use std::path::Path;

use anyhow::{bail, Context, Result};
use storage_proofs_core::parameter_cache::{
    get_parameter_data_from_id, get_srs_parameter_data_from_id, parameter_cache_srs_key_path, verify_production_entry,
};
use storage_proofs_core::settings::SETTINGS;

/// Set the folder for this process, before the first verification. The crates read these settings once.
pub fn configure(folder: &str, check_digests: bool) -> Result<()> {
    std::env::set_var("FIL_PROOFS_PARAMETER_CACHE", folder);
    std::env::set_var("FIL_PROOFS_VERIFY_PRODUCTION_PARAMS", if check_digests { "true" } else { "false" });
    if SETTINGS.parameter_cache != folder || SETTINGS.verify_production_params != check_digests {
        bail!(
            "this process already uses the parameters in {}, {} digest checks; start another process",
            SETTINGS.parameter_cache,
            if SETTINGS.verify_production_params { "with" } else { "without" },
        );
    }
    Ok(())
}

/// Check that a verifying key is present, with its published digest unless such checks are off.
pub fn require_key(path: &Path) -> Result<()> {
    require(path, get_parameter_data_from_id)
}

/// Check the parameters of aggregation, in the same way.
pub fn require_aggregation() -> Result<()> {
    require(&parameter_cache_srs_key_path("", 0), get_srs_parameter_data_from_id)
}

type Published = fn(&str) -> Option<&storage_proofs_core::parameter_cache::ParameterData>;

fn require(path: &Path, published: Published) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).context("a parameter file has a name")?;
    if !path.is_file() {
        bail!("the file {} is missing", path.display());
    }
    if SETTINGS.verify_production_params && verify_production_entry(path, name.to_string(), published).is_err() {
        bail!("the file {} does not have the published digest", path.display());
    }
    Ok(())
}
