//! Commands of the operator: train, versions, replay, why.

use anyhow::{Context, Result, bail};
use merx_decide::{DecisionRecord, level_words, words};
use merx_domain::{Answer, DecisionId, ModelVersion, ProductNumber};

use crate::demo::print_report;
use crate::shop::{RECOMMEND, Shop};
use crate::training;

pub(crate) fn train(shop: &Shop, now: bool) -> Result<()> {
    let time = shop.clock.now();
    if !now {
        let last = shop.registry.list()?.iter().map(|model| model.created_at).max();
        match merx_train::next_due(last, shop.config.train.every_hours, time) {
            Some(due) if due > time => {
                println!("the next training is due at {due}; --now trains at once");
                return Ok(());
            }
            None => {
                println!("train.every_hours is 0: nothing is scheduled; --now trains at once");
                return Ok(());
            }
            Some(_) => {}
        }
    }
    let report = training::train(shop, time, &|step| eprintln!("{step}"))?;
    print_report(&report);
    Ok(())
}

pub(crate) fn list_models(shop: &Shop) -> Result<()> {
    let models = shop.registry.list()?;
    if models.is_empty() {
        println!("no model was trained yet: merx train --now");
    }
    for model in models {
        let metrics: Vec<String> =
            model.lineage.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        println!(
            "{} {:4} {:9} {}  {}",
            model.name,
            model.version.to_string(),
            format!("{:?}", model.status).to_lowercase(),
            model.created_at,
            metrics.join(", ")
        );
    }
    Ok(())
}

pub(crate) fn promote(shop: &Shop, version: u32) -> Result<()> {
    shop.registry.promote(RECOMMEND, ModelVersion(version))?;
    println!("{RECOMMEND} v{version} is live");
    Ok(())
}

pub(crate) fn roll_back(shop: &Shop) -> Result<()> {
    println!("{RECOMMEND} {} is live again", shop.registry.roll_back(RECOMMEND)?);
    Ok(())
}

pub(crate) fn replay(shop: &Shop, decision: &str) -> Result<()> {
    let records = match decision.strip_prefix("latest:") {
        Some(count) => shop.recorder.latest(count.parse().context("latest:N needs a number")?)?,
        None => vec![shop.recorder.get(decision.parse()?)?],
    };
    let mut different = 0;
    for record in &records {
        let recorded: Answer = record.answer()?;
        let again = shop.pipeline.replay(record)?;
        if again != recorded {
            different += 1;
            println!("{}: differs\n  recorded {recorded:?}\n  now      {again:?}", record.id);
        }
    }
    if different > 0 {
        bail!("{different} of {} decisions differ", records.len());
    }
    println!("{} decided again, each answer equal bit for bit", records.len());
    Ok(())
}

pub(crate) fn why(shop: &Shop, decision: DecisionId) -> Result<()> {
    let record: DecisionRecord = shop.recorder.get(decision)?;
    let answer: Answer = record.answer()?;
    let reader = shop.catalogue().read();
    let name = |number: ProductNumber| {
        reader.entry(number).map_or_else(|| format!("product {}", number.0), |entry| entry.name.to_string())
    };
    let model = record.model.map_or_else(|| "no model".to_owned(), |version| format!("model {version}"));
    println!("{} at {}: {} ({model})", record.id, record.situation.now, level_words(record.fallback));
    for trouble in &record.trouble {
        println!("  trouble: {trouble}");
    }
    for slot in &answer.slots {
        println!("{}", slot.name);
        for (place, item) in slot.items.iter().enumerate() {
            let reasons: Vec<String> = item.reasons.iter().map(|reason| words(reason, &name)).collect();
            println!("  {:2}. {}: {}", place + 1, name(item.product), reasons.join("; "));
        }
    }
    Ok(())
}
