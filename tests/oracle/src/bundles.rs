//! Official built-in actor bundles: found in a folder, known by the CIDs of their manifests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cid::Cid;
use fvm_ipld_encoding::from_slice;

use crate::car::{self, Blocks};

/// One bundle: `root` is the CAR's root, `[1, data]`; `data` is the list of names and code CIDs.
pub struct Bundle {
    pub file: String,
    pub root: Cid,
    pub data: Cid,
    pub codes: BTreeMap<String, Cid>,
    pub blocks: Arc<Blocks>,
}

impl Bundle {
    pub fn code(&self, name: &str) -> Cid {
        self.codes[name]
    }

    fn load(path: &Path) -> Result<Self> {
        let (roots, blocks) = car::read(&std::fs::read(path)?)?;
        ensure!(roots.len() == 1, "a bundle has one root");
        let (version, data): (u32, Cid) = from_slice(blocks.get(&roots[0]).context("the root's block is missing")?)?;
        ensure!(version == 1, "manifest version {version} is not known");
        let entries: Vec<(String, Cid)> = from_slice(blocks.get(&data).context("the manifest is missing")?)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { file, root: roots[0], data, codes: entries.into_iter().collect(), blocks: Arc::new(blocks) })
    }
}

/// The bundles of a folder of files `v<actors version>-<network>.car`.
pub struct Bundles(Vec<Bundle>);

impl Bundles {
    pub fn open(folder: &Path) -> Result<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .with_context(|| format!("no bundles at {}", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|ext| ext == "car"));
        paths.sort();
        let load = |path: &std::path::PathBuf| Bundle::load(path).with_context(|| path.display().to_string());
        Ok(Self(paths.iter().map(load).collect::<Result<_>>()?))
    }

    /// The bundle that the vectors of a network version are made with.
    pub fn of_network_version(&self, version: u32) -> Result<&Bundle> {
        let actors = match version {
            21 => 12,
            22 => 13,
            23 => 14,
            24 => 15,
            25 | 26 => 16,
            27 => 17,
            28 | 29 => 18, // no official bundle of v19 is here
            _ => anyhow::bail!("no bundle is known for network version {version}"),
        };
        let names = [format!("v{actors}-mainnet.car"), format!("v{actors}-testing-fake-proofs.car")];
        let found = names.iter().find_map(|name| self.0.iter().find(|bundle| bundle.file == *name));
        found.with_context(|| format!("no bundle of actors v{actors} in the folder"))
    }

    /// The bundle with this manifest: the CAR's root or the list that it names.
    pub fn of_manifest(&self, manifest: &Cid) -> Result<&Bundle> {
        let found = self.0.iter().find(|bundle| bundle.root == *manifest || bundle.data == *manifest);
        found.with_context(|| format!("no bundle has the manifest {manifest}"))
    }
}
