use merx_models::*;
use merx_train::protocols::*;
use std::sync::Arc;
fn main() {
    let options = BenchOptions {
        layout: Layout::Sessions,
        data: "/work/shared/data/diginetica".into(),
        seed: 1,
        export_split: None,
    };
    let task = read_task(&options).unwrap();
    let set = &task.fit;
    let mut ials = IalsLearner::default();
    ials.settings.sweeps = 2;
    let members: Vec<Arc<dyn Recommender>> = vec![
        Arc::new(SessionKnnLearner::default().fit(set, 1).unwrap()),
        Arc::new(TransitionsLearner::default().fit(set, 1).unwrap()),
        Arc::new(PopularityLearner::default().fit(set, 1).unwrap()),
        Arc::new(ItemKnnLearner::default().fit(set, 1).unwrap()),
        Arc::new(GraphFilterLearner::default().fit(set, 1).unwrap()),
        Arc::new(ials.fit(set, 1).unwrap()),
    ];
    let time = |name: &str, model: &dyn Recommender| {
        let start = std::time::Instant::now();
        let mut out = Vec::new();
        for e in &task.test[..4000] {
            out.clear();
            model.open(&e.query()).candidates(20, &mut out);
        }
        println!("{name} {:.1} us", start.elapsed().as_micros() as f64 / 4000.0);
    };
    for m in &members {
        time(m.family(), m.as_ref());
    }
    let set = BlendSet {
        members: members.clone(),
        examples: task.learning[..1500].to_vec(),
        kept_back: task.choosing[..300].to_vec(),
    };
    let mut l = BlendLearner::default();
    l.settings.network.passes = 1;
    let blend = l.fit(&set, 1).unwrap();
    time("blend6", &blend);
    let set = BlendSet { members: members[..5].to_vec(), ..set };
    let blend = l.fit(&set, 1).unwrap();
    time("blend5", &blend);
}
