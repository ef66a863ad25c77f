//! HTTP: the API under `/v1`, its keys, its problem documents, its OpenAPI document, and the Segment tracking API.
//!
//! Start with `routes::table`: every route, who may call it, and its handler. Wire types live beside the handlers and
//! nowhere else. This crate knows no engine (it holds a pipeline behind [`Recommendations`]), no database and no
//! configuration file: `merx` fills [`Parts`].

mod activity;
mod admission;
mod alerts;
mod algolia;
mod app;
mod assortment;
mod audit;
mod auth;
mod automations;
mod body;
mod client;
mod consent;
mod console;
mod dead_letters;
mod decisions;
mod entities;
mod experiments;
mod figures;
mod forward;
mod gathering;
mod health;
mod jobs;
mod keys;
mod keys_api;
mod labels;
mod layout;
mod limits;
mod live;
mod markets;
mod merchandise;
mod metrics;
mod models;
mod observe;
mod ofrep;
mod oidc;
mod openapi;
mod orders;
mod ports;
mod privacy;
mod problem;
mod products;
mod recommend;
mod reference;
mod rejects;
mod roles;
mod routes;
mod search;
mod server;
mod session;
mod site;
mod slot_rules;
mod slots;
mod stage;
mod stock;
mod storefront;
mod tracking;
mod users;
mod users_api;
mod wire;

pub use admission::AdmissionSettings;
pub use algolia::Indexes;
pub use app::{App, Parts, Settings, SlotPreset};
pub use auth::Access;
pub use client::{Client, ClientError};
pub use jobs::{AskedBy, JobEntry, JobKind, JobProgress, JobState};
pub use keys::{ApiKey, KeyError, Keys, Scope};
pub use limits::RateLimit;
pub use merchandise::{
    Change as MerchandiseChange, Kind as MerchandiseKind, Merchandise, MerchandiseError, Others as OtherMerchandise,
};
pub use oidc::{CALLBACK as OIDC_CALLBACK, IssuerCalls, Oidc, OidcSettings};
pub use openapi::{openapi, openapi_json};
pub use ports::{
    AppliedAgain, CatalogueState, DeadLetter, DeadLetters, DriftLook, DriftPage, EncodedQueries, EncoderBudget,
    EncoderStatus, EngineDrift, FairnessQuestion, Intake, Jobs, Layouts, Leader, ModelChangeError, ModelEntry,
    ModelSegment, ModelVersions, Privacy, PrivacyError, ProductGroup, QueryFigures, QueryOrder, Recommendations,
    Reports, SearchFigures, SearchOverview, SearchReports, SearchSpan, Searches, ShopRecords, ShopperGroups,
    StockPlace, Vitals,
};
pub use privacy::opendsr::status_callback;
pub use privacy::{PrivacySettings, RetentionPeriods};
pub use problem::{Code, Mistake, Problem};
pub use roles::Role;
pub use routes::router;
pub use server::serve;
pub use site::{DemoShop, Files, Site};
pub use slot_rules::{SlotConsequence, SlotRule, SlotRuleBook, SlotRuleError};
pub use stage::{Playing, Scene, Stage};
pub use users::{User, UserError, Users};

/// What this room keeps in the shop's records.
pub const MIGRATIONS: &[merx_store::Migration] =
    &[keys::MIGRATION, algolia::MIGRATION, merchandise::MIGRATION, users::MIGRATION, slot_rules::MIGRATION];
