//! What a process takes over from the one that leads: keys, users, settings, rules, experiments, automations, policies; and models from whoever
//! made them live.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use merx_domain::ModelVersion;
use merx_models::registry::VersionStatus;
use merx_serve::{Indexes, Keys, SlotRuleBook, Users};
use merx_store::Value;

use crate::background::Repeated;
use crate::drifting;
use crate::serving::store_error_of_registry;
use crate::shop::Shop;
use crate::tallies::Tallies;

/// How long a change made in another process may go unseen.
const ROUND: Duration = Duration::from_millis(500);

/// What requests are checked against, and answered by beside models.
pub(crate) struct Door {
    pub(crate) keys: Arc<Keys>,
    pub(crate) users: Arc<Users>,
    pub(crate) indexes: Arc<Indexes>,
    pub(crate) slot_rules: Arc<SlotRuleBook>,
}

impl Door {
    fn reload(&self) -> Result<()> {
        self.keys.reload()?;
        self.users.reload()?;
        self.indexes.reload()?;
        self.slot_rules.reload()?;
        Ok(())
    }
}

/// Follows the lease, and where another process leads, what that one changes. A shop of one process needs neither.
pub(crate) fn follow(shop: &Arc<Shop>, door: Door) -> Result<Option<Repeated>> {
    if shop.lead.is_none() {
        return Ok(None);
    }
    let shop = Arc::clone(shop);
    let (mut followed, mut tallies) = (Followed::default(), Tallies::default());
    let round = move |_: &AtomicBool| {
        let Some(lead) = &shop.lead else { return Ok(()) };
        lead.follow(|| {
            door.reload()?;
            followed.catch_up(&shop)?;
            shop.take_over()
        })?;
        if !lead.leads() {
            shop.stand_back();
            door.reload()?;
            followed.catch_up(&shop).context("following the process that leads")?;
        } else {
            // A training may have run elsewhere.
            followed.follow_models(&shop)?;
        }
        tallies.go(&shop)
    };
    Ok(Some(Repeated::start("replica", ROUND, round)?))
}

/// Every version and how it stands, and the one that runs in the shadow.
type Models = (Vec<(String, ModelVersion, VersionStatus)>, Option<ModelVersion>);

/// What was taken over last, where taking it over again would cost something.
#[derive(Default)]
struct Followed {
    models: Option<Models>,
    erased: Option<i64>,
}

impl Followed {
    fn catch_up(&mut self, shop: &Shop) -> Result<()> {
        shop.dealer.definitions.reload()?;
        shop.automations.reload()?;
        shop.policies.reload()?;
        self.follow_models(shop)?;
        self.follow_erasures(shop)?;
        shop.bandits.publish(shop)
    }

    /// Versions are loaded before they take the place of those that answer until then.
    fn follow_models(&mut self, shop: &Shop) -> Result<()> {
        let listed = shop.registry.list().map_err(store_error_of_registry)?;
        let models: Vec<_> = listed.into_iter().map(|model| (model.name, model.version, model.status)).collect();
        let models = (models, drifting::shadow(shop)?);
        if self.models.as_ref() == Some(&models) {
            return Ok(());
        }
        shop.load_models()?;
        drifting::watch_shadows(shop)?;
        self.models = Some(models);
        Ok(())
    }

    /// Nothing of who was erased may stay in memory.
    fn follow_erasures(&mut self, shop: &Shop) -> Result<()> {
        let rows = shop.store.records.query("SELECT COUNT(*) FROM vault_erased", &[])?;
        let Some(Value::Integer(erased)) = rows.first().and_then(|row| row.0.first()) else { return Ok(()) };
        if self.erased != Some(*erased) {
            if let Some(visitors) = &shop.visitors {
                visitors.reload()?;
            }
            shop.bandits.forget();
            shop.books.forget();
            self.erased = Some(*erased);
        }
        Ok(())
    }
}
