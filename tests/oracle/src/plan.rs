//! The list of cases: each a name, the network versions it is made for, and how its scene is built.

use crate::scene::Scene;

/// The versions that vectors are made for.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 21..=29;
/// The latest whose official actors are here; the machine of version 29 is the same, with the same prices.
const LATEST: u32 = 28;
const SAME: u32 = 29;

/// Which versions a case is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Every one: what depends on the built-in actors or on prices.
    All,
    /// The latest and one older, a different one from case to case; that of 29 as often as an older one.
    Two,
    /// The latest.
    One,
}

pub struct Plan {
    pub group: &'static str,
    pub name: String,
    pub versions: Vec<u32>,
    /// Syscall and error number that the reference's log does not tell of.
    pub covers: Vec<(&'static str, u32)>,
    pub build: Box<dyn Fn(&mut Scene)>,
}

impl Plan {
    /// State a cell of the coverage table that the reference's log is silent about.
    pub fn covers(&mut self, syscall: &'static str, number: u32) -> &mut Self {
        self.covers.push((syscall, number));
        self
    }

    pub fn versions(&mut self, versions: &[u32]) -> &mut Self {
        self.versions = versions.to_vec();
        self
    }

    pub fn id(&self, version: u32) -> String {
        format!("{}/{}@nv{version}", self.group, self.name)
    }
}

/// Plans, in order.
pub struct Plans {
    pub all: Vec<Plan>,
    group: &'static str,
    versions: Versions,
}

impl Plans {
    pub fn new() -> Self {
        Self { all: Vec::new(), group: "", versions: Versions::Two }
    }

    /// The group of the plans to come; a group is a file of vectors.
    pub fn group(&mut self, group: &'static str, versions: Versions) {
        self.group = group;
        self.versions = versions;
    }

    pub fn add(&mut self, name: impl Into<String>, build: impl Fn(&mut Scene) + 'static) -> &mut Plan {
        let (name, group) = (name.into(), self.group);
        assert!(self.all.iter().all(|plan| plan.group != group || plan.name != name), "{group}/{name} is there twice");
        let older = VERSIONS.start() + (self.all.len() as u32) % (LATEST - VERSIONS.start());
        let versions = match self.versions {
            Versions::All => VERSIONS.collect(),
            Versions::Two if older + 1 == LATEST => vec![older, LATEST, SAME],
            Versions::Two => vec![older, LATEST],
            Versions::One => vec![LATEST],
        };
        self.all.push(Plan { group, name, versions, covers: Vec::new(), build: Box::new(build) });
        self.all.last_mut().expect("just pushed")
    }
}
