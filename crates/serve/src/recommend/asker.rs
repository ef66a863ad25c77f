//! Who asks, and whom the vault knows of them.

use merx_domain::{ConsentStamp, IdentityKind, MarketId, SubjectId};
use merx_store::StoreError;

use crate::app::App;
use crate::auth::Caller;
use crate::keys::Scope;
use crate::problem::{Code, Mistakes, Problem};
use crate::roles::Right;

/// What names a person.
const MAX_ID_BYTES: usize = 512;

/// Whether a key may name this person.
pub(crate) fn may_ask_for(app: &App, caller: &Caller, who: &Who) -> Result<(), Problem> {
    let may_name_users = app.parts.settings.public_keys_name_customers
        || caller.0.as_ref().is_some_and(|key| key.scope.reaches(Scope::Secret));
    if !may_name_users && matches!(who, Who::Customer(_) | Who::Subject(_)) {
        let detail = "a public key asks for anonymous_id; user_id and subject_id need a secret key";
        return Err(Problem::because(Code::Forbidden, detail));
    }
    // What is shown to a person tells what they did: a role that may read nobody's decisions may not ask for them.
    let role = caller.0.as_ref().and_then(|key| key.scope.role());
    if !matches!(who, Who::Nobody) && role.is_some_and(|role| !role.may("decisions", Right::Read)) {
        return Err(Problem::because(Code::Forbidden, "this role asks for nobody in particular"));
    }
    Ok(())
}

/// Whom a question is about.
pub(crate) enum Who {
    Nobody,
    Customer(String),
    Visitor(String),
    Subject(SubjectId),
}

pub(crate) fn who(
    user: &Option<String>,
    visitor: &Option<String>,
    subject: &Option<String>,
    mistakes: &mut Mistakes,
) -> Who {
    let given = |id: &Option<String>| id.as_deref().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    if let Some(subject) = given(subject) {
        let subject = mistakes.taken("subject_id".into(), "invalid_id", subject.parse());
        return subject.map_or(Who::Nobody, Who::Subject);
    }
    for (field, id) in [("user_id", user), ("anonymous_id", visitor)] {
        mistakes.within(field.into(), id.as_deref().map_or(0, str::len), 0, MAX_ID_BYTES);
    }
    match (given(user), given(visitor)) {
        (Some(user), _) => Who::Customer(user),
        (None, Some(visitor)) => Who::Visitor(visitor),
        (None, None) => Who::Nobody,
    }
}

/// An id that the vault doesn't know is a visitor of whom nothing is known. So is one while the vault can't be asked: shoppers
/// get an answer all the same.
pub(crate) fn find_subject(app: &App, who: &Who) -> Option<SubjectId> {
    look_up(app, who).unwrap_or_else(stranger)
}

fn look_up(app: &App, who: &Who) -> Result<Option<SubjectId>, StoreError> {
    let intake = &app.parts.intake;
    match who {
        Who::Nobody => Ok(None),
        Who::Subject(subject) => Ok(Some(*subject)),
        Who::Customer(id) => intake.find_subject(IdentityKind::UserId, id),
        Who::Visitor(id) => intake.find_subject(IdentityKind::AnonymousId, id),
    }
}

fn stranger(error: StoreError) -> Option<SubjectId> {
    tracing::warn!(%error, "who asks can't be looked up: they are answered as a stranger");
    None
}

/// Whether the vault doesn't know them yet, and an experiment needs it to: arms are dealt to people, not to requests. Who
/// doesn't want to be measured leaves no trace.
pub(super) fn is_newcomer(app: &App, who: &Who, market: &MarketId, consent: ConsentStamp) -> bool {
    may_be_made(app, who, market, consent) && find_subject(app, who).is_none()
}

fn may_be_made(app: &App, who: &Who, market: &MarketId, consent: ConsentStamp) -> bool {
    let named = matches!(who, Who::Customer(_) | Who::Visitor(_));
    named && app.parts.dealer.deals_anything() && app.parts.recommendations.may_measure(market, consent)
}

/// The subject of who asks; a newcomer to an experiment gets one. Touches the disk.
pub(crate) fn known_or_made(app: &App, who: &Who, market: &MarketId, consent: ConsentStamp) -> Option<SubjectId> {
    let known = match look_up(app, who) {
        Ok(known) => known,
        // Whoever can't be looked up now can't be made now either, and would wait for it.
        Err(error) => return stranger(error),
    };
    if known.is_some() || !may_be_made(app, who, market, consent) {
        return known;
    }
    // Anybody can make up ids: beyond the limit a stranger stays one, and is in no experiment.
    if app.newcomers.take(&app.parts.settings.newcomers, app.parts.clock.now()).is_err() {
        return None;
    }
    let made = match who {
        Who::Customer(id) => app.parts.intake.make_subject(IdentityKind::UserId, id),
        Who::Visitor(id) => app.parts.intake.make_subject(IdentityKind::AnonymousId, id),
        Who::Nobody | Who::Subject(_) => Ok(known),
    };
    made.unwrap_or_else(stranger)
}
