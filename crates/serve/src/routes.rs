//! The table of routes: address, who may call, handler. The router and the OpenAPI document are both made from it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Extension, Router};
use merx_ingest::segment::Call;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::Path;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{RefOr, Schema};

use crate::app::App;
use crate::auth::{self, Access, Need};
use crate::gathering::Gathering;
use crate::keys::Scope;
use crate::observe::observe;
use crate::privacy::{opendsr, person, shopify};
use crate::problem::{Code, Problem};
use crate::roles::{Right, right_of};
use crate::search::merchandise::{self, synonyms};
use crate::search::{encoder, reports};
use crate::{
    activity, alerts,
    algolia::{self, manage, objects},
    assortment, audit, automations, consent, console, dead_letters, decisions, experiments, figures, forward,
    gathering, health, jobs, keys_api, labels, layout, live, markets, models, ofrep, oidc, openapi, orders, privacy,
    products, recommend, reference, search, session, site, slot_rules, slots, stage, stock, storefront, tracking,
    users_api,
};

pub(crate) type Shared = Arc<App>;

/// A route's place in the table; answers carry it to the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteNumber(pub(crate) usize);

pub(crate) struct Endpoint {
    pub(crate) method: HttpMethod,
    pub(crate) path: String,
    pub(crate) access: Access,
    pub(crate) operation: Operation,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    /// Of a tracking call, the last part of its path.
    tracking: Option<&'static str>,
    handler: MethodRouter<Shared>,
}

impl Endpoint {
    /// The part of the API it belongs to.
    fn part(&self) -> &str {
        self.operation.tags.as_ref().and_then(|tags| tags.first()).map_or("", String::as_str)
    }

    fn right(&self) -> Right {
        let changes = !matches!(self.method, HttpMethod::Get | HttpMethod::Head | HttpMethod::Options);
        let is_public = matches!(self.access, Access::Key(Scope::Public) | Access::FrontEnd(Scope::Public));
        right_of(self.part(), is_public, changes, &self.path)
    }
}

/// Parts of the API that a key of this scope opens: for reading, those whose every reading route it does; for changing,
/// those whose every route it does.
pub(crate) fn open_parts(app: &App, scope: Scope, right: Right) -> Vec<String> {
    static NEEDS: LazyLock<Vec<(String, Access, Right)>> = LazyLock::new(|| {
        let keyed = table().into_iter().filter(|endpoint| endpoint.access != Access::Open);
        keyed.map(|endpoint| (endpoint.part().to_owned(), endpoint.access, endpoint.right())).collect()
    });
    let mut parts: BTreeMap<&str, bool> = BTreeMap::new();
    for (part, access, needed) in NEEDS.iter().filter(|(_, _, needed)| *needed <= right) {
        let open = auth::may(scope, Need { access: *access, part, right: *needed });
        *parts.entry(part).or_insert(true) &= open;
    }
    // Only a demo has a stage.
    parts.retain(|part, open| *open && (*part != "demo" || app.site.shop.is_some()));
    parts.into_keys().map(str::to_owned).collect()
}

/// An endpoint as the attribute on its handler documents it: `D` is the handler's `__path_` type.
fn endpoint<D: Path + SchemaReferences + for<'t> Tags<'t>>(access: Access, handler: MethodRouter<Shared>) -> Endpoint {
    let mut schemas = Vec::new();
    D::schemas(&mut schemas);
    let method = D::methods().into_iter().next().unwrap_or(HttpMethod::Get);
    let tags = D::tags().into_iter().map(str::to_owned).collect();
    let mut operation = D::operation();
    operation.tags = Some(tags);
    Endpoint { method, path: D::path(), access, operation, schemas, tracking: None, handler }
}

#[rustfmt::skip]
pub(crate) fn table() -> Vec<Endpoint> {
    const OPEN: Access = Access::Open;
    const PUBLIC: Access = Access::Key(Scope::Public);
    const FRONT_END: Access = Access::FrontEnd(Scope::Public);
    const BACK_END: Access = Access::FrontEnd(Scope::Secret);
    const SECRET: Access = Access::Key(Scope::Secret);
    const ADMIN: Access = Access::Key(Scope::Admin);
    let mut table = vec![
        endpoint::<recommend::__path_recommend>(PUBLIC, post(recommend::recommend)),
        endpoint::<recommend::__path_recommend_slot>(PUBLIC, get(recommend::recommend_slot)),

        endpoint::<layout::__path_layout>(PUBLIC, post(layout::layout)),

        endpoint::<slots::__path_list_slots>(SECRET, get(slots::list_slots)),
        endpoint::<slot_rules::__path_list_slot_rules>(SECRET, get(slot_rules::list_slot_rules)),
        endpoint::<slot_rules::__path_get_slot_rule>(SECRET, get(slot_rules::get_slot_rule)),
        endpoint::<slot_rules::__path_put_slot_rule>(SECRET, put(slot_rules::put_slot_rule)),
        endpoint::<slot_rules::__path_delete_slot_rule>(SECRET, delete(slot_rules::delete_slot_rule)),
        endpoint::<slot_rules::__path_preview_slot_rules>(SECRET, post(slot_rules::preview_slot_rules)),

        endpoint::<search::__path_search>(PUBLIC, post(search::search)),
        endpoint::<search::__path_search_simply>(PUBLIC, get(search::search_simply)),
        endpoint::<search::__path_suggest>(PUBLIC, post(search::suggest)),
        endpoint::<search::__path_facets>(PUBLIC, post(search::facets)),

        endpoint::<merchandise::__path_list_rules>(SECRET, get(merchandise::list_rules)),
        endpoint::<merchandise::__path_get_rule>(SECRET, get(merchandise::get_rule)),
        endpoint::<merchandise::__path_put_rule>(SECRET, put(merchandise::put_rule)),
        endpoint::<merchandise::__path_delete_rule>(SECRET, delete(merchandise::delete_rule)),
        endpoint::<merchandise::__path_preview>(SECRET, post(merchandise::preview)),
        endpoint::<merchandise::__path_list_changes>(SECRET, get(merchandise::list_changes)),
        endpoint::<synonyms::__path_list_synonyms>(SECRET, get(synonyms::list_synonyms)),
        endpoint::<synonyms::__path_get_synonym>(SECRET, get(synonyms::get_synonym)),
        endpoint::<synonyms::__path_put_synonym>(SECRET, put(synonyms::put_synonym)),
        endpoint::<synonyms::__path_delete_synonym>(SECRET, delete(synonyms::delete_synonym)),
        endpoint::<synonyms::__path_list_proposals>(SECRET, get(synonyms::list_proposals)),
        endpoint::<synonyms::__path_approve_proposal>(SECRET, post(synonyms::approve_proposal)),
        endpoint::<synonyms::__path_refuse_proposal>(SECRET, post(synonyms::refuse_proposal)),
        endpoint::<synonyms::__path_reopen_proposal>(SECRET, post(synonyms::reopen_proposal)),
        endpoint::<encoder::__path_encoder>(SECRET, get(encoder::encoder)),
        endpoint::<reports::__path_overview>(SECRET, get(reports::overview)),
        endpoint::<reports::__path_queries>(SECRET, get(reports::queries)),

        endpoint::<algolia::__path_queries>(FRONT_END, post(algolia::queries)),
        endpoint::<algolia::__path_query>(FRONT_END, post(algolia::query)),
        endpoint::<algolia::__path_facet_query>(FRONT_END, post(algolia::facet_query)),
        endpoint::<algolia::__path_events>(FRONT_END, post(algolia::events)),
        endpoint::<algolia::recommend::__path_recommendations>(FRONT_END, post(algolia::recommend::recommendations)),
        endpoint::<objects::__path_get_object>(FRONT_END, get(objects::get_object)),
        endpoint::<objects::__path_get_objects>(FRONT_END, post(objects::get_objects)),
        endpoint::<objects::__path_browse>(BACK_END, post(objects::browse)),
        endpoint::<objects::__path_batch>(BACK_END, post(objects::batch)),
        endpoint::<objects::__path_add_object>(BACK_END, post(objects::add_object)),
        endpoint::<objects::__path_put_object>(BACK_END, put(objects::put_object)),
        endpoint::<objects::__path_change_object>(BACK_END, post(objects::change_object)),
        endpoint::<objects::__path_delete_object>(BACK_END, delete(objects::delete_object)),
        endpoint::<objects::__path_delete_by>(BACK_END, post(objects::delete_by)),
        endpoint::<manage::__path_list_indexes>(BACK_END, get(manage::list_indexes)),
        endpoint::<manage::__path_clear_index>(BACK_END, post(manage::clear_index)),
        endpoint::<manage::__path_delete_index>(BACK_END, delete(manage::delete_index)),
        endpoint::<manage::__path_operation>(BACK_END, post(manage::operation)),
        endpoint::<manage::__path_task>(BACK_END, get(manage::task)),
        endpoint::<manage::__path_get_settings>(BACK_END, get(manage::get_settings)),
        endpoint::<manage::__path_put_settings>(BACK_END, put(manage::put_settings)),
        endpoint::<algolia::merchandise::__path_search_rules>(BACK_END, post(algolia::merchandise::search_rules)),
        endpoint::<algolia::merchandise::__path_put_rule_batch>(BACK_END, post(algolia::merchandise::put_rule_batch)),
        endpoint::<algolia::merchandise::__path_clear_rules>(BACK_END, post(algolia::merchandise::clear_rules)),
        endpoint::<algolia::merchandise::__path_get_rule>(BACK_END, get(algolia::merchandise::get_rule)),
        endpoint::<algolia::merchandise::__path_put_rule>(BACK_END, put(algolia::merchandise::put_rule)),
        endpoint::<algolia::merchandise::__path_delete_rule>(BACK_END, delete(algolia::merchandise::delete_rule)),
        endpoint::<algolia::merchandise::__path_search_synonyms>(BACK_END, post(algolia::merchandise::search_synonyms)),
        endpoint::<algolia::merchandise::__path_put_synonym_batch>(BACK_END, post(algolia::merchandise::put_synonym_batch)),
        endpoint::<algolia::merchandise::__path_clear_synonyms>(BACK_END, post(algolia::merchandise::clear_synonyms)),
        endpoint::<algolia::merchandise::__path_get_synonym>(BACK_END, get(algolia::merchandise::get_synonym)),
        endpoint::<algolia::merchandise::__path_put_synonym>(BACK_END, put(algolia::merchandise::put_synonym)),
        endpoint::<algolia::merchandise::__path_delete_synonym>(BACK_END, delete(algolia::merchandise::delete_synonym)),
        endpoint::<manage::__path_get_key>(FRONT_END, get(manage::get_key)),

        endpoint::<storefront::__path_storefront>(PUBLIC, get(storefront::storefront)),
        endpoint::<storefront::__path_storefront_products>(PUBLIC, get(storefront::storefront_products)),
        endpoint::<site::__path_sdk>(OPEN, get(site::sdk)),
        endpoint::<stage::__path_get_stage>(SECRET, get(stage::get_stage)),
        endpoint::<stage::__path_play_scene>(ADMIN, post(stage::play_scene)),

        endpoint::<decisions::__path_list_decisions>(SECRET, get(decisions::list_decisions)),
        endpoint::<decisions::__path_get_decision>(SECRET, get(decisions::get_decision)),
        endpoint::<decisions::__path_explain_decision>(SECRET, get(decisions::explain_decision)),
        endpoint::<decisions::__path_replay_decision>(SECRET, post(decisions::replay_decision)),

        endpoint::<experiments::__path_list_experiments>(SECRET, get(experiments::list_experiments)),
        endpoint::<experiments::__path_get_experiment>(SECRET, get(experiments::get_experiment)),
        endpoint::<experiments::__path_put_experiment>(SECRET, put(experiments::put_experiment)),
        endpoint::<experiments::__path_patch_experiment>(SECRET, patch(experiments::patch_experiment)),
        endpoint::<experiments::__path_delete_experiment>(SECRET, delete(experiments::delete_experiment)),
        endpoint::<experiments::__path_check_experiment>(SECRET, post(experiments::check_experiment)),
        endpoint::<experiments::__path_start_experiment>(SECRET, post(experiments::start_experiment)),
        endpoint::<experiments::__path_end_experiment>(SECRET, post(experiments::end_experiment)),

        endpoint::<experiments::__path_experiment_report>(SECRET, get(experiments::experiment_report)),
        endpoint::<experiments::__path_experiment_sequence>(SECRET, get(experiments::experiment_sequence)),
        endpoint::<experiments::__path_bandit_report>(SECRET, get(experiments::bandit_report)),
        endpoint::<experiments::__path_experiment_metrics>(SECRET, get(experiments::experiment_metrics)),
        endpoint::<experiments::__path_plan_experiment>(SECRET, post(experiments::plan_experiment)),
        endpoint::<experiments::__path_off_policy_estimate>(SECRET, post(experiments::off_policy_estimate)),
        endpoint::<experiments::__path_holdout_report>(SECRET, get(experiments::holdout_report)),

        endpoint::<ofrep::__path_evaluate_flag>(PUBLIC, post(ofrep::evaluate_flag)),
        endpoint::<ofrep::__path_evaluate_flags>(PUBLIC, post(ofrep::evaluate_flags)),
        endpoint::<ofrep::__path_flag_stream>(OPEN, get(ofrep::flag_stream)),

        endpoint::<automations::__path_list_automations>(SECRET, get(automations::list_automations)),
        endpoint::<automations::__path_get_automation>(SECRET, get(automations::get_automation)),
        endpoint::<automations::__path_describe_automation>(ADMIN, put(automations::describe_automation)),
        endpoint::<automations::__path_set_automation_mode>(ADMIN, post(automations::set_automation_mode)),
        endpoint::<automations::__path_inherit_automation_mode>(ADMIN, delete(automations::inherit_automation_mode)),
        endpoint::<automations::__path_kill_automation>(SECRET, post(automations::kill_automation)),
        endpoint::<automations::__path_revive_automation>(ADMIN, post(automations::revive_automation)),
        endpoint::<automations::__path_retire_automation>(ADMIN, post(automations::retire_automation)),
        endpoint::<automations::__path_list_approvals>(SECRET, get(automations::list_approvals)),
        endpoint::<automations::__path_approve>(ADMIN, post(automations::approve)),
        endpoint::<automations::__path_refuse>(ADMIN, post(automations::refuse)),

        endpoint::<figures::__path_value_report>(SECRET, get(figures::value_report)),
        endpoint::<figures::__path_kpis>(SECRET, get(figures::kpis)),
        endpoint::<figures::__path_people_segments>(SECRET, get(figures::people_segments)),
        endpoint::<figures::__path_data_quality>(SECRET, get(figures::data_quality)),
        endpoint::<figures::__path_drift>(SECRET, get(figures::drift)),
        endpoint::<figures::__path_save_reference>(ADMIN, post(figures::save_reference)),
        endpoint::<figures::__path_fairness>(SECRET, post(figures::fairness)),

        endpoint::<alerts::__path_list_alerts>(SECRET, get(alerts::list_alerts)),
        endpoint::<alerts::__path_acknowledge_alert>(SECRET, post(alerts::acknowledge_alert)),
        endpoint::<alerts::__path_test_alert>(ADMIN, post(alerts::test_alert)),
        endpoint::<alerts::__path_list_webhooks>(ADMIN, get(alerts::list_webhooks)),
        endpoint::<alerts::__path_add_webhook>(ADMIN, post(alerts::add_webhook)),
        endpoint::<alerts::__path_remove_webhook>(ADMIN, delete(alerts::remove_webhook)),
        endpoint::<alerts::__path_list_deliveries>(ADMIN, get(alerts::list_deliveries)),

        endpoint::<labels::__path_add_cases>(SECRET, post(labels::add_cases)),
        endpoint::<labels::__path_list_cases>(SECRET, get(labels::list_cases)),
        endpoint::<labels::__path_next_case>(SECRET, get(labels::next_case)),
        endpoint::<labels::__path_judge_case>(SECRET, post(labels::judge_case)),
        endpoint::<labels::__path_agreement>(SECRET, get(labels::agreement)),

        endpoint::<audit::__path_audit_log>(ADMIN, get(audit::audit_log)),
        endpoint::<audit::__path_verify_audit>(ADMIN, get(audit::verify_audit)),

        endpoint::<tracking::__path_project_settings>(OPEN, get(tracking::project_settings)),
        endpoint::<tracking::__path_rejected_events>(SECRET, get(tracking::rejected_events)),

        endpoint::<live::__path_live_events>(SECRET, get(live::live_events)),

        endpoint::<markets::__path_list_markets>(SECRET, get(markets::list_markets)),
        endpoint::<assortment::__path_list_assortment>(SECRET, get(assortment::list_assortment)),
        endpoint::<assortment::__path_coverage>(SECRET, get(assortment::coverage)),
        endpoint::<products::__path_list_products>(SECRET, get(products::list_products)),
        endpoint::<products::__path_put_products>(SECRET, post(products::put_products)),
        endpoint::<products::__path_get_product>(SECRET, get(products::get_product)),
        endpoint::<products::__path_put_product>(SECRET, put(products::put_product)),
        endpoint::<products::__path_patch_product>(SECRET, patch(products::patch_product)),
        endpoint::<products::__path_delete_product>(SECRET, delete(products::delete_product)),

        endpoint::<orders::__path_list_orders>(SECRET, get(orders::list_orders)),
        endpoint::<orders::__path_put_orders>(SECRET, post(orders::put_orders)),
        endpoint::<orders::__path_get_order>(SECRET, get(orders::get_order)),
        endpoint::<orders::__path_put_order>(SECRET, put(orders::put_order)),
        endpoint::<orders::__path_patch_order>(SECRET, patch(orders::patch_order)),
        endpoint::<orders::__path_delete_order>(SECRET, delete(orders::delete_order)),

        endpoint::<stock::__path_get_stock>(SECRET, get(stock::get_stock)),
        endpoint::<stock::__path_put_stock_levels>(SECRET, post(stock::put_stock_levels)),
        endpoint::<stock::__path_put_stock>(SECRET, put(stock::put_stock)),
        endpoint::<stock::__path_patch_stock>(SECRET, patch(stock::patch_stock)),
        endpoint::<stock::__path_delete_stock>(SECRET, delete(stock::delete_stock)),

        endpoint::<models::__path_list_models>(ADMIN, get(models::list_models)),
        endpoint::<models::__path_model_card>(ADMIN, get(models::model_card)),
        endpoint::<models::__path_promote_model>(ADMIN, post(models::promote_model)),
        endpoint::<models::__path_roll_back_model>(ADMIN, post(models::roll_back_model)),

        endpoint::<jobs::__path_list_jobs>(ADMIN, get(jobs::list_jobs)),
        endpoint::<jobs::__path_start_job>(ADMIN, post(jobs::start_job)),
        endpoint::<jobs::__path_get_job>(ADMIN, get(jobs::get_job)),

        endpoint::<consent::__path_say_consent>(PUBLIC, post(consent::say_consent)),
        endpoint::<consent::__path_get_consent>(SECRET, get(consent::get_consent)),
        endpoint::<consent::__path_consent_statistics>(SECRET, get(consent::consent_statistics)),
        endpoint::<consent::__path_get_policy>(SECRET, get(consent::get_policy)),
        endpoint::<consent::__path_put_policy>(ADMIN, put(consent::put_policy)),
        endpoint::<consent::__path_dry_run_policy>(ADMIN, post(consent::dry_run_policy)),

        endpoint::<privacy::__path_submit_request>(ADMIN, post(privacy::submit_request)),
        endpoint::<privacy::__path_list_requests>(ADMIN, get(privacy::list_requests)),
        endpoint::<privacy::__path_get_request>(ADMIN, get(privacy::get_request)),
        endpoint::<privacy::__path_cancel_request>(ADMIN, delete(privacy::cancel_request)),
        endpoint::<privacy::__path_request_data>(ADMIN, get(privacy::request_data)),
        endpoint::<person::__path_get_person>(ADMIN, get(person::get_person)),
        endpoint::<privacy::__path_retention>(SECRET, get(privacy::retention)),
        endpoint::<privacy::__path_list_reads>(ADMIN, get(privacy::list_reads)),
        endpoint::<privacy::__path_rotate_vault>(ADMIN, post(privacy::rotate_vault)),
        endpoint::<opendsr::__path_discovery>(OPEN, get(opendsr::discovery)),
        endpoint::<opendsr::__path_submit>(ADMIN, post(opendsr::submit)),
        endpoint::<opendsr::__path_get>(ADMIN, get(opendsr::get)),
        endpoint::<opendsr::__path_get_status>(ADMIN, get(opendsr::get_status)),
        endpoint::<opendsr::__path_take_back>(ADMIN, delete(opendsr::take_back)),
        endpoint::<shopify::__path_shopify_webhook>(OPEN, post(shopify::shopify_webhook)),

        endpoint::<keys_api::__path_list_keys>(ADMIN, get(keys_api::list_keys)),
        endpoint::<keys_api::__path_create_key>(ADMIN, post(keys_api::create_key)),
        endpoint::<keys_api::__path_revoke_key>(ADMIN, delete(keys_api::revoke_key)),

        endpoint::<users_api::__path_list_users>(ADMIN, get(users_api::list_users)),
        endpoint::<users_api::__path_put_user>(ADMIN, put(users_api::put_user)),
        endpoint::<users_api::__path_delete_user>(ADMIN, delete(users_api::delete_user)),

        endpoint::<session::__path_get_session>(OPEN, get(session::get_session)),
        endpoint::<session::__path_begin_session>(OPEN, post(session::begin_session)),
        endpoint::<session::__path_change_password>(OPEN, put(session::change_password)),
        endpoint::<oidc::__path_begin>(OPEN, get(oidc::begin)),
        endpoint::<oidc::__path_callback>(OPEN, get(oidc::callback)),
        endpoint::<session::__path_end_session>(OPEN, delete(session::end_session)),

        endpoint::<activity::__path_list_activity>(SECRET, get(activity::list_activity)),
        endpoint::<dead_letters::__path_list_dead_letters>(ADMIN, get(dead_letters::list_dead_letters)),
        endpoint::<dead_letters::__path_apply_dead_letter>(ADMIN, post(dead_letters::apply_dead_letter)),
        endpoint::<dead_letters::__path_drop_dead_letter>(ADMIN, delete(dead_letters::drop_dead_letter)),

        endpoint::<health::__path_live>(OPEN, get(health::live)),
        endpoint::<health::__path_ready>(OPEN, get(health::ready)),
        endpoint::<health::__path_metrics>(OPEN, get(health::metrics)),
        endpoint::<openapi::__path_document>(OPEN, get(openapi::document)),
        endpoint::<reference::__path_page>(OPEN, get(reference::page)),
        endpoint::<reference::__path_asset>(OPEN, get(reference::asset)),
        endpoint::<console::__path_console>(OPEN, get(console::console)),
        endpoint::<console::__path_console_page>(OPEN, get(console::console_page)),
        endpoint::<console::__path_console_asset>(OPEN, get(console::console_asset)),
    ];
    table.extend(tracking_endpoints());
    table
}

/// The tracking calls under their long and their one-letter names.
fn tracking_endpoints() -> impl Iterator<Item = Endpoint> {
    const NAMES: [&str; 15] =
        ["track", "t", "page", "p", "screen", "s", "identify", "i", "group", "g", "alias", "a", "batch", "b", "import"];
    NAMES.into_iter().filter_map(|name| {
        let call = Call::from_path(name)?;
        let handler = post(move |state, caller, request| tracking::take(call, state, caller, request));
        let mut endpoint = match call {
            Call::Batch => endpoint::<tracking::__path_batch>(Access::WriteKey, handler),
            _ => endpoint::<tracking::__path_track>(Access::WriteKey, handler),
        };
        endpoint.path = format!("/v1/{name}");
        endpoint.tracking = Some(name);
        endpoint.operation.operation_id = Some(format!("segment_{name}"));
        Some(endpoint)
    })
}

/// Method and path of every route, in the table's order; then of the one between processes, which is no part of the API.
pub(crate) fn names() -> Vec<(String, String)> {
    let of_table = table().into_iter().map(|endpoint| (method_name(&endpoint.method).to_owned(), endpoint.path));
    of_table.chain([("POST".to_owned(), gathering::PATH.to_owned())]).collect()
}

pub(crate) fn method_name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Trace => "TRACE",
    }
}

/// The whole server as a service.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    let table = table();
    let between_processes = RouteNumber(table.len());
    for (number, endpoint) in table.into_iter().enumerate() {
        let gate = Gate {
            app: Arc::clone(app),
            access: endpoint.access,
            part: endpoint.part().to_owned(),
            right: endpoint.right(),
            by_any: forward::is_answered_by_any(
                method_name(&endpoint.method),
                &endpoint.path,
                endpoint.access == Access::Open,
            ),
            tracking: endpoint.tracking,
            number: RouteNumber(number),
        };
        let handler = endpoint
            .handler
            .route_layer(CatchPanicLayer::custom(panicked))
            .route_layer(from_fn_with_state(Arc::new(gate), pass_gate));
        router = router.route(&endpoint.path, handler);
    }
    if app.site.shop.is_some() {
        router = site::shop(router);
    }
    router
        .route(gathering::PATH, post(gathering::take).layer(Extension(between_processes)))
        .fallback(|| async { Problem::new(Code::UnknownRoute) })
        .method_not_allowed_fallback(|| async { Problem::new(Code::MethodNotAllowed) })
        .layer(cors(&app.parts.settings.cors_origins))
        .layer(from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

struct Gate {
    app: Shared,
    access: Access,
    /// What a role must have here.
    part: String,
    right: Right,
    /// Whether every process answers it, or the one that leads.
    by_any: bool,
    /// A tracking call goes there with others.
    tracking: Option<&'static str>,
    number: RouteNumber,
}

impl Gate {
    fn need(&self) -> Need<'_> {
        Need { access: self.access, part: &self.part, right: self.right }
    }

    /// The leading process's answer; the request back where this is that process.
    async fn hand_on(&self, mut request: Request) -> Result<Response, Request> {
        if let Some(name) = self.tracking {
            match Gathering::hand_on(&self.app, name, request).await {
                Ok(response) => return Ok(response),
                Err(alone) => request = alone,
            }
        }
        self.app.forward.hand_on(&self.app.parts.vitals.leader(), request).await
    }
}

/// Checks the key, bounds the time, and leaves the route's number on the answer.
async fn pass_gate(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let keyed = gate.access != Access::Open;
    if !gate.by_any || keyed && forward::comes_with_a_session(request.headers()) {
        let limit = Duration::from_millis(gate.app.parts.settings.request_timeout_ms);
        match tokio::time::timeout(limit, gate.hand_on(request)).await {
            Ok(Err(own)) => request = own,
            Ok(Ok(mut response)) => {
                response.extensions_mut().insert(gate.number);
                return response;
            }
            Err(_) => return Problem::new(Code::TimedOut).retry_after(1).into_response(),
        }
    }
    let checked = auth::check(&gate.app, gate.need(), &request);
    let mut response = match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            let limit = Duration::from_millis(gate.app.parts.settings.request_timeout_ms);
            let timely = tokio::time::timeout(limit, next.run(request)).await;
            timely.unwrap_or_else(|_| Problem::new(Code::TimedOut).retry_after(1).into_response())
        }
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(gate.number);
    response
}

fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
    tracing::error!(panic = words, "a handler panicked");
    Problem::new(Code::Internal).into_response()
}

/// Keys travel in headers that a page has to set itself: any origin may ask. The console's cookie is sent by pages of
/// this server alone (`SameSite=Strict`), and no answer to another origin may be read with it.
fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::RETRY_AFTER,
            header::ETAG,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-ratelimit-reset"),
        ])
        .max_age(Duration::from_secs(24 * 3_600))
}
