//! Alerts, webhooks, figures and bandits over HTTP.

use merx_decide::{AlertKind, Raise};
use merx_serve::RateLimit;
use serde_json::{Value, json};

use crate::call;
use crate::harness::{NOW, Shop, settings};

fn raise(shop: &Shop, key: &str) -> Option<u64> {
    let raise = Raise::new(AlertKind::DataQuality, key, "orders have no value").of("recommend");
    shop.automations.book().raise(raise, NOW).unwrap().map(|alert| alert.number)
}

#[tokio::test]
async fn an_alert_is_open_until_somebody_knows_and_over_when_it_is() {
    let shop = Shop::open();
    let number = raise(&shop, "data:orders").unwrap();
    assert_eq!(raise(&shop, "data:orders"), None, "it isn't over yet");
    let list = call(&shop, "GET", "/v1/alerts?state=open", &shop.secret, None).await.ok();
    let alert = &list["items"][0];
    assert_eq!(
        (&alert["kind"], &alert["state"], &alert["number"]),
        (&json!("data_quality"), &json!("open"), &json!(number))
    );
    let path = format!("/v1/alerts/{number}/acknowledge");
    let known = call(&shop, "POST", &path, &shop.secret, None).await.ok();
    assert_eq!(known["state"], "acknowledged");
    assert!(known["acknowledged_by"].as_str().unwrap().starts_with("key "));
    call(&shop, "POST", &path, &shop.secret, None).await.problem(409, "conflict");
    call(&shop, "POST", "/v1/alerts/99/acknowledge", &shop.secret, None).await.problem(404, "not_found");
    assert_eq!(raise(&shop, "data:orders"), None, "somebody knows, and it isn't over");
    shop.automations.book().resolve("data:orders", NOW).unwrap();
    assert!(raise(&shop, "data:orders").is_some(), "another one is told");
    let open = call(&shop, "GET", "/v1/alerts?state=open", &shop.secret, None).await.ok();
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    call(&shop, "GET", "/v1/alerts?limit=0", &shop.secret, None).await.mistakes();
}

#[tokio::test]
async fn webhooks_are_told_what_they_asked_for_and_their_secret_is_shown_once() {
    let shop = Shop::open();
    let wrong = json!({"url": "ftp://example.com", "kinds": ["weather"]});
    let refused = call(&shop, "POST", "/v1/webhooks", &shop.admin, Some(wrong)).await.mistakes();
    assert_eq!(
        refused,
        [("url".to_owned(), "invalid_url".to_owned()), ("kinds[0]".to_owned(), "unknown_kind".to_owned())]
    );
    let add = |kinds: Value| json!({"url": "https://example.com/hook", "kinds": kinds});
    let made = call(&shop, "POST", "/v1/webhooks", &shop.admin, Some(add(json!(["slo"])))).await;
    assert_eq!(made.status, 201);
    assert!(made.json()["secret"].as_str().unwrap().starts_with("whsec_"));
    call(&shop, "POST", "/v1/webhooks", &shop.secret, Some(add(json!([])))).await.problem(403, "forbidden");
    raise(&shop, "a");
    let none = call(&shop, "GET", "/v1/deliveries", &shop.admin, None).await.ok();
    assert_eq!(none["items"], json!([]), "it asked for others");
    assert_eq!(call(&shop, "POST", "/v1/webhooks", &shop.admin, Some(add(json!([])))).await.status, 201);
    raise(&shop, "b");
    let deliveries = call(&shop, "GET", "/v1/deliveries", &shop.admin, None).await.ok();
    assert_eq!(
        (deliveries["items"].as_array().unwrap().len(), &deliveries["items"][0]["state"]),
        (1, &json!("waiting"))
    );
    let listed = call(&shop, "GET", "/v1/webhooks", &shop.admin, None).await.ok();
    assert!(!listed.to_string().contains("whsec_"), "{listed}");
    let audit = call(&shop, "GET", "/v1/audit", &shop.admin, None).await.ok();
    assert!(audit.to_string().contains("webhook.added") && !audit.to_string().contains("whsec_"));
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&shop, "DELETE", &format!("/v1/webhooks/{id}"), &shop.admin, None).await.status, 204);
    call(&shop, "DELETE", &format!("/v1/webhooks/{id}"), &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn figures_are_answered_and_bounded() {
    let shop = Shop::open();
    let kpis = call(&shop, "GET", "/v1/kpis?days=7", &shop.secret, None).await.ok();
    assert_eq!((&kpis["days"], &kpis["kpis"][0]["name"]), (&json!(7), &json!("revenue")));
    call(&shop, "GET", "/v1/kpis?days=0", &shop.secret, None).await.mistakes();
    let segments = call(&shop, "GET", "/v1/segments", &shop.secret, None).await.ok();
    assert_eq!((&segments["people"], &segments["segments"][0]["name"]), (&json!(0), &json!("newcomers")));
    call(&shop, "GET", "/v1/segments", &shop.public, None).await.problem(403, "forbidden");
    call(&shop, "GET", "/v1/value?window_days=31", &shop.secret, None).await.mistakes();
    call(&shop, "GET", "/v1/value?from=yesterday", &shop.secret, None).await.mistakes();
    call(&shop, "GET", "/v1/value", &shop.public, None).await.problem(403, "forbidden");
    let groups = json!({"products": [{"name": "odd", "filter": "category = "}]});
    let refused = call(&shop, "POST", "/v1/fairness", &shop.secret, Some(groups)).await.mistakes();
    assert_eq!(refused[0], ("products[0].filter".to_owned(), "invalid_filter".to_owned()));
    let costs = json!({"costs": {"monthly_minor": -1}});
    let refused = call(&shop, "PUT", "/v1/automations/recommend", &shop.admin, Some(costs)).await.mistakes();
    assert_eq!(refused[0].0, "costs.monthly_minor");
}

#[tokio::test]
async fn a_bandit_deals_by_its_policy_and_records_the_chances() {
    let shop = Shop::open();
    let definition = |least: f64| {
        json!({
            "surface": {"kind": "recommend", "slots": ["basket"]}, "metrics": ["conversion"],
            "bandit": {"kind": "thompson", "reward": "click", "least_percent": least},
            "arms": [{"name": "control", "percent": 50}, {"name": "few", "percent": 50, "change": {"count": 1}}],
        })
    };
    let refused = call(&shop, "PUT", "/v1/experiments/b", &shop.secret, Some(definition(60.0))).await.mistakes();
    assert_eq!(refused[0].0, "bandit.least_percent");
    call(&shop, "PUT", "/v1/experiments/b", &shop.secret, Some(definition(10.0))).await.ok();
    call(&shop, "POST", "/v1/experiments/b/start", &shop.secret, None).await.ok();
    call(&shop, "GET", "/v1/experiments/b/report", &shop.secret, None).await.problem(409, "conflict");
    let known = call(&shop, "GET", "/v1/experiments/b/bandit", &shop.secret, None).await.ok();
    assert_eq!(known["arms"][1]["plays"], 0);

    let id = merx_domain::experiment::ExperimentId::new("b");
    let bandit = shop.dealer.definitions.get(&id).unwrap().definition.bandit.unwrap();
    let policy = merx_domain::experiment::BanditPolicy::Shares(vec![1_000, 9_000]);
    shop.dealer.publish(&id, &bandit, policy, NOW);
    let deal = async |visitor: u32| {
        let body = json!({"anonymous_id": format!("v{visitor}"), "slots": [{"scenario": "basket"}]});
        let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
        let met = &record["experiments"][0];
        (met["arm"].as_str().unwrap().to_owned(), met["propensity"].as_f64().unwrap())
    };
    for visitor in 0..10 {
        assert_eq!(deal(visitor).await.1, 0.5, "within an epoch nothing changes");
    }
    shop.clock.set(NOW.plus_ms(3_600_000));
    let mut few = 0;
    for visitor in 0..60 {
        let (arm, propensity) = deal(visitor).await;
        assert_eq!(propensity, if arm == "few" { 0.9 } else { 0.1 });
        assert_eq!(deal(visitor).await.0, arm, "the same all epoch");
        few += u32::from(arm == "few");
    }
    assert!((44..60).contains(&few), "{few} of 60 at 90 %");
}

#[tokio::test]
async fn made_up_visitors_cannot_fill_the_vault() {
    let mut limited = settings();
    limited.newcomers = RateLimit { requests_per_second: 0.001, burst: 3.0 };
    let shop = Shop::with(limited, 50);
    let definition = json!({
        "surface": {"kind": "recommend"}, "metrics": ["conversion"],
        "arms": [{"name": "a", "percent": 50}, {"name": "b", "percent": 50}],
    });
    call(&shop, "PUT", "/v1/experiments/x", &shop.secret, Some(definition)).await.ok();
    call(&shop, "POST", "/v1/experiments/x/start", &shop.secret, None).await.ok();
    let mut dealt = 0;
    for visitor in 0..10 {
        let body = json!({"anonymous_id": format!("made-up-{visitor}"), "slots": [{"scenario": "basket"}]});
        let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
        dealt += u32::from(answer.get("experiments").is_some());
    }
    assert_eq!(dealt, 3, "beyond the limit a stranger stays one");
}

#[tokio::test]
async fn a_models_card_says_where_it_comes_from_what_it_cannot_do_and_who_agreed() {
    let shop = Shop::open();
    let promote = call(&shop, "POST", "/v1/models/recommend/promote", &shop.admin, Some(json!({"version": 1}))).await;
    promote.ok();
    let card = call(&shop, "GET", "/v1/models/recommend/1/card", &shop.admin, None).await.ok();
    assert_eq!((&card["stage"], &card["lineage"]["rows"]), (&json!("live"), &json!(10)));
    assert_eq!(card["segments"][0]["segment"], "device phone");
    assert!(
        card["limits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|limit| limit == "Too few decisions to judge it for: device tablet.")
    );
    assert_eq!(card["approvals"][0]["action"], "model.promoted");
    let text = card["markdown"].as_str().unwrap();
    assert!(
        text.starts_with("# recommend v1\n") && text.contains("| device phone | 900 | 25.0 % | 1.50 ms |"),
        "{text}"
    );
    let fresh = call(&shop, "GET", "/v1/models/recommend/2/card", &shop.admin, None).await.ok();
    assert!(fresh["limits"].to_string().contains("None of its decisions"));
    call(&shop, "GET", "/v1/models/recommend/9/card", &shop.admin, None).await.problem(404, "not_found");
    call(&shop, "GET", "/v1/models/recommend/x/card", &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn two_people_judge_and_a_third_decides() {
    let shop = Shop::open();
    let cases: Vec<Value> = (0..12).map(|number| json!({"about": {"query": number}})).collect();
    let mut all = json!({"queue": "search", "labels": ["yes", "no"], "cases": cases});
    all["cases"].as_array_mut().unwrap().push(json!({"about": {"query": "gold"}, "gold": "yes"}));
    let made = call(&shop, "POST", "/v1/labels/cases", &shop.secret, Some(all)).await;
    assert_eq!((made.status, made.json()["numbers"].as_array().unwrap().len()), (201, 13));
    let wrong = json!({"queue": "search", "labels": ["yes", "yes"], "cases": [{"about": {}, "gold": "perhaps"}]});
    let refused = call(&shop, "POST", "/v1/labels/cases", &shop.secret, Some(wrong)).await.mistakes();
    assert_eq!(refused[1], ("cases[0].gold".to_owned(), "unknown_label".to_owned()));

    // Both say yes to the first six and no to the next five; of the twelfth they differ, and of the gold question one is wrong.
    let judge = async |key: &str, say: fn(u64) -> &'static str| {
        let mut judged = 0;
        loop {
            let next = call(&shop, "GET", "/v1/labels/next?queue=search", key, None).await;
            if next.status == 204 {
                break judged;
            }
            let case = next.ok();
            assert!(case.get("gold").is_none());
            let number = case["number"].as_u64().unwrap();
            let path = format!("/v1/labels/cases/{number}");
            let label = json!({"label": say(number)});
            assert_eq!(call(&shop, "POST", &path, key, Some(label.clone())).await.status, 204);
            call(&shop, "POST", &path, key, Some(label)).await.problem(409, "conflict");
            judged += 1;
        }
    };
    let (anna, bert) = (shop.secret.clone(), shop.admin.clone());
    assert_eq!(judge(&anna, |number| if number <= 6 || number == 13 { "yes" } else { "no" }).await, 13);
    assert_eq!(judge(&bert, |number| if number <= 6 || number == 12 { "yes" } else { "no" }).await, 13);
    let found = call(&shop, "GET", "/v1/labels/agreement?queue=search", &shop.secret, None).await.ok();
    assert_eq!((&found["agreed"], &found["disputed"], &found["judgements"]), (&json!(11), &json!(2), &json!(26)));
    // 11 of 13 agree; by chance 85 of 169.
    let kappa = found["pairs"][0]["kappa"].as_f64().unwrap();
    assert!((kappa - (11.0 / 13.0 - 85.0 / 169.0) / (1.0 - 85.0 / 169.0)).abs() < 1e-9, "{kappa}");
    assert!(found["alpha"].as_f64().unwrap() > 0.6);
    let mut gold: Vec<f64> =
        found["annotators"].as_array().unwrap().iter().map(|one| one["gold_right"].as_f64().unwrap()).collect();
    gold.sort_by(f64::total_cmp);
    assert_eq!(gold, [0.0, 1.0]);
    let list = call(&shop, "GET", "/v1/labels?queue=search", &shop.secret, None).await.ok();
    assert_eq!((&list["items"][0]["label"], &list["items"][11]["state"]), (&json!("yes"), &json!("disputed")));
}
