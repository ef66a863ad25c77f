//! Where several processes serve one shop: which of them leads.
//!
//! One leads: it follows the log into the online store, does the jobs, and takes every write of requests. The others answer what shops and
//! shoppers ask, and hand on what writes. All of them beat or look at even intervals ([`merx_store::Lease`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use merx_serve::Leader;
use merx_store::{Fence, Lease, Records, SILENT_LOOKS, Standing, StoreError};

use crate::background::Repeated;

/// The lease's name in the records.
pub(crate) const LEAD: &str = "lead";
/// Between two beats, or looks.
const BEAT: Duration = Duration::from_secs(1);

pub(crate) struct Lead {
    lease: Arc<Lease>,
    fence: Arc<Fence>,
    standing: Arc<ArcSwap<Standing>>,
    /// The term that this process has taken over in; 0: it follows.
    term: AtomicI64,
    /// Beats until this is dropped.
    beating: Option<Repeated>,
}

impl Lead {
    /// `alone`: a command that writes; it is refused where another process leads.
    pub(crate) fn seek(records: Arc<dyn Records>, fence: Arc<Fence>, alone: bool) -> Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let holder = format!("{:032x}", u128::from_be_bytes(name));
        let lease = Arc::new(Lease::new(records, LEAD, holder));
        let mut standing = lease.beat().context("looking who leads this shop")?;
        for _ in 0..=SILENT_LOOKS {
            if !alone || matches!(standing, Standing::Held { .. }) {
                break;
            }
            std::thread::sleep(BEAT);
            standing = lease.beat()?;
        }
        if let (true, Standing::Other { address }) = (alone, &standing) {
            let folder = format!("(on services, led by {address})");
            return Err(StoreError::Locked { folder }.into());
        }
        let standing = Arc::new(ArcSwap::from_pointee(standing));
        let (beaten, told) = (Arc::clone(&lease), Arc::clone(&standing));
        let beating = Repeated::start("lease", BEAT, move |_| {
            told.store(Arc::new(beaten.beat()?));
            Ok(())
        })?;
        Ok(Self { lease, fence, standing, term: AtomicI64::new(0), beating: Some(beating) })
    }

    pub(crate) fn set_address(&self, address: &str) {
        self.lease.set_address(address);
    }

    pub(crate) fn leads(&self) -> bool {
        self.term.load(Ordering::SeqCst) != 0
    }

    /// The same, asked of the records now.
    pub(crate) fn still_leads(&self) -> bool {
        let known = self.term.load(Ordering::SeqCst);
        match self.lease.beat() {
            Ok(standing) => known != 0 && standing == Standing::Held { term: known },
            Err(_) => false,
        }
    }

    pub(crate) fn leader(&self) -> Leader {
        match &**self.standing.load() {
            Standing::Held { .. } if self.leads() => Leader::This,
            Standing::Other { address } if !address.is_empty() => Leader::At(address.as_str().into()),
            _ => Leader::Nobody,
        }
    }

    /// Does what the lease asks for: `take_over` before anything is written in a new term.
    pub(crate) fn follow(&self, take_over: impl FnOnce() -> Result<()>) -> Result<()> {
        let known = self.term.load(Ordering::SeqCst);
        match **self.standing.load() {
            Standing::Held { term } if term == known => Ok(()),
            Standing::Held { term } => {
                self.stand_back();
                take_over()?;
                self.fence.open_for(term);
                self.term.store(term, Ordering::SeqCst);
                tracing::info!(term, "this process leads the shop");
                Ok(())
            }
            Standing::Other { .. } if known == 0 => Ok(()),
            Standing::Other { .. } => {
                self.stand_back();
                tracing::warn!(term = known, "another process leads the shop now");
                Ok(())
            }
        }
    }

    /// From now on this process writes nothing.
    pub(crate) fn stand_back(&self) {
        self.term.store(0, Ordering::SeqCst);
        self.fence.shut();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.beating.take();
        if let Err(error) = self.lease.give_up() {
            tracing::warn!(%error, "the lead was not given up; another process takes it in a few seconds");
        }
    }
}
