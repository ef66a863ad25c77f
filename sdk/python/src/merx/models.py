"""Shapes of requests and answers. Made by tools/generate.py from openapi/merx.json."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

ActivityAnswer = TypedDict('ActivityAnswer', {
    'minutes': 'list[MinuteAnswer]',
    'started_at': 'str',
})

Agreement = TypedDict('Agreement', {
    'agreed': 'int',
    'alpha': NotRequired['float | None'],
    'annotators': 'list[AnnotatorAnswer]',
    'cases': 'int',
    'disputed': 'int',
    'judgements': 'int',
    'pairs': 'list[PairAgreement]',
})

Alert = TypedDict('Alert', {
    'acknowledged_at': NotRequired['str | None'],
    'acknowledged_by': NotRequired['str | None'],
    'at': 'str',
    'automation': 'str',
    'detail': 'Any',
    'kind': 'str',
    'last_at': NotRequired['str | None'],
    'number': 'int',
    'resolved_at': NotRequired['str | None'],
    'severity': 'str',
    'state': 'str',
    'times': 'int',
    'words': 'str',
})

AlertList = TypedDict('AlertList', {
    'items': 'list[Alert]',
})

AlgoliaMessage = TypedDict('AlgoliaMessage', {
    'message': 'str',
    'status': 'int',
})

AnnotatorAnswer = TypedDict('AnnotatorAnswer', {
    'annotator': 'str',
    'gold_questions': 'int',
    'gold_right': NotRequired['float | None'],
    'judgements': 'int',
})

Approval = TypedDict('Approval', {
    'asked_at': 'str',
    'asked_by': 'str',
    'automation': 'str',
    'campaign': NotRequired['str | None'],
    'canary_percent': NotRequired['float'],
    'decided_at': NotRequired['str | None'],
    'decided_by': NotRequired['str | None'],
    'description': NotRequired['AutomationDescription'],
    'expected_effect': 'str',
    'loosened': 'list[str]',
    'market': NotRequired['str | None'],
    'mode': NotRequired['AutomationMode'],
    'number': 'int',
    'reason': 'str',
    'risk': 'str',
    'roll_back': 'str',
    'state': 'str',
    'why': 'str',
})

ApprovalList = TypedDict('ApprovalList', {
    'items': 'list[Approval]',
})

ApprovalWord = TypedDict('ApprovalWord', {
    'reason': NotRequired['str'],
})

ArmAnswer = TypedDict('ArmAnswer', {
    'arm': 'str',
    'experiment': 'str',
    'value': NotRequired['Any'],
})

AskedBy: TypeAlias = "Literal['schedule', 'request']"

Assortment = TypedDict('Assortment', {
    'items': 'list[AssortmentLine]',
    'next': NotRequired['int | None'],
    'total': 'int',
})

AssortmentLine = TypedDict('AssortmentLine', {
    'attributes': 'int',
    'brand': NotRequired['str | None'],
    'category': 'list[str]',
    'image': NotRequired['str | None'],
    'lacks': 'list[str]',
    'margin': NotRequired['float | None'],
    'name': 'str',
    'price': NotRequired['Money | None'],
    'product_id': 'str',
    'stock': NotRequired['int | None'],
    'visible': 'bool',
})

AttStatus: TypeAlias = "Literal['notDetermined', 'restricted', 'denied', 'authorized']"

AttributeCoverage = TypedDict('AttributeCoverage', {
    'name': 'str',
    'products': 'int',
})

AttributeValue: TypeAlias = 'bool | float | str | list[str]'

AuditEntry = TypedDict('AuditEntry', {
    'action': 'str',
    'actor': 'str',
    'at': 'str',
    'detail': 'Any',
    'hash': 'str',
    'number': 'int',
    'target': 'str',
})

AuditList = TypedDict('AuditList', {
    'items': 'list[AuditEntry]',
})

AuditVerification = TypedDict('AuditVerification', {
    'altered': NotRequired['str | None'],
    'broken_at': NotRequired['int | None'],
    'decisions': 'int',
    'entries': 'int',
    'head': 'str',
    'knows_head': NotRequired['bool | None'],
    'sound': 'bool',
})

Automation: TypeAlias = 'Any'

AutomationCosts = TypedDict('AutomationCosts', {
    'monthly_minor': NotRequired['int'],
    'one_time_minor': NotRequired['int'],
    'per_thousand_decisions_minor': NotRequired['int'],
})

AutomationDescription = TypedDict('AutomationDescription', {
    'costs': NotRequired['AutomationCosts'],
    'ends_at': NotRequired['str'],
    'four_eyes': NotRequired['bool'],
    'guardrails': NotRequired['list[Guardrail]'],
    'kpi': NotRequired['str'],
    'monthly_budget_minor': NotRequired['int'],
    'most_per_hour': NotRequired['int'],
    'owner': NotRequired['str'],
    'purpose': NotRequired['str'],
    'starts_at': NotRequired['str'],
})

AutomationList = TypedDict('AutomationList', {
    'items': 'list[Automation]',
})

AutomationMode: TypeAlias = "Literal['off', 'shadow', 'suggest', 'canary', 'live']"

BanditKindWire: TypeAlias = "Literal['thompson', 'lin_ucb']"

BatchAnswer = TypedDict('BatchAnswer', {
    'deleted': 'int',
    'errors': 'list[Mistake]',
    'patched': 'int',
    'upserted': 'int',
})

BatchCall = TypedDict('BatchCall', {
    'batch': 'list[Any]',
    'context': NotRequired['Any | None'],
    'sentAt': NotRequired['str | None'],
    'writeKey': NotRequired['Any'],
})

BlockAnswer = TypedDict('BlockAnswer', {
    'chance': 'float',
    'id': 'str',
    'reason': 'BlockReason',
    'score': 'float',
})

BlockReason = TypedDict('BlockReason', {
    'type': 'str',
    'words': 'str',
})

BlockRequest = TypedDict('BlockRequest', {
    'fixed': NotRequired['bool'],
    'id': 'str',
})

BoostRequest = TypedDict('BoostRequest', {
    'field': 'str',
    'strength': 'float',
})

CardApproval = TypedDict('CardApproval', {
    'action': 'str',
    'at': 'str',
    'by': 'str',
})

CaseList = TypedDict('CaseList', {
    'items': 'list[LabelCase]',
})

CaseNumbers = TypedDict('CaseNumbers', {
    'numbers': 'list[int]',
})

CaseToJudge = TypedDict('CaseToJudge', {
    'about': 'Any',
    'labels': 'list[str]',
    'number': 'int',
})

ChangedBoost = TypedDict('ChangedBoost', {
    'field': 'str',
    'strength': 'float',
})

ConfiguredSlot = TypedDict('ConfiguredSlot', {
    'boosts': 'int',
    'count': 'int',
    'diversity': 'float',
    'filtered': 'bool',
    'goal': 'GoalName',
    'name': 'str',
    'scenario': 'str',
})

ConsentCount = TypedDict('ConsentCount', {
    'denied': 'int',
    'granted': 'int',
})

ConsentState = TypedDict('ConsentState', {
    'allowed': 'list[str]',
    'denied': 'list[str]',
    'global_privacy_control': 'bool',
    'granted': 'list[str]',
    'policy_version': 'int',
    'region': 'str',
})

ConsentStatistics = TypedDict('ConsentStatistics', {
    'global_privacy_control': 'int',
    'people': 'int',
    'purposes': 'dict[str, ConsentCount]',
})

ConsentWire = TypedDict('ConsentWire', {
    'analytics': NotRequired['bool | None'],
    'automated_decisions': NotRequired['bool | None'],
    'marketing': NotRequired['bool | None'],
    'personalisation': NotRequired['bool | None'],
    'sale_sharing': NotRequired['bool | None'],
})

ConsentWord = TypedDict('ConsentWord', {
    'anonymous_id': NotRequired['str'],
    'att': NotRequired['AttStatus'],
    'global_privacy_control': NotRequired['bool'],
    'market': NotRequired['str'],
    'purposes': NotRequired['dict[str, bool]'],
    'tcf': NotRequired['str'],
    'user_id': NotRequired['str'],
})

ContributionAnswer = TypedDict('ContributionAnswer', {
    'contribution': NotRequired['float'],
    'feature': 'str',
    'product_id': NotRequired['str'],
    'value': NotRequired['float'],
})

Coverage = TypedDict('Coverage', {
    'attributes': 'list[AttributeCoverage]',
    'departments': 'list[DepartmentCount]',
    'hidden': 'int',
    'lacks': 'dict[str, int]',
    'products': 'int',
    'sold_out': 'int',
    'untracked': 'int',
})

CurrencyCount = TypedDict('CurrencyCount', {
    'currency': 'str',
    'products': 'int',
})

DeadLetterAnswer = TypedDict('DeadLetterAnswer', {
    'at': 'str',
    'attempts': 'int',
    'detail': 'str',
    'event_id': 'str',
    'kind': 'str',
    'place': 'int',
})

DeadLetterList = TypedDict('DeadLetterList', {
    'items': 'list[DeadLetterAnswer]',
})

DecidedAffinity = TypedDict('DecidedAffinity', {
    'feature': 'str',
    'key': 'str',
    'weight': 'float',
})

DecidedArm = TypedDict('DecidedArm', {
    'arm': 'str',
    'experiment': 'str',
    'propensity': 'float',
})

DecidedFeatures = TypedDict('DecidedFeatures', {
    'affinities': 'list[DecidedAffinity]',
    'carts': 'float',
    'history': 'list[DecidedHistory]',
    'purchases': 'float',
    'session_started_at': NotRequired['str | None'],
    'sessions': 'float',
    'views': 'float',
})

DecidedHistory = TypedDict('DecidedHistory', {
    'at': 'str',
    'meaning': 'str',
    'product_id': 'str',
})

DecidedItem = TypedDict('DecidedItem', {
    'product_id': 'str',
    'score': 'float',
})

DecidedSlot = TypedDict('DecidedSlot', {
    'count': 'int',
    'items': 'list[DecidedItem]',
    'name': 'str',
    'products': 'list[str]',
    'rules': NotRequired['list[str]'],
    'scenario': 'str',
})

DecisionAnswer = TypedDict('DecisionAnswer', {
    'arm': 'str',
    'at': 'str',
    'automation': 'str',
    'blocks': NotRequired['list[BlockAnswer]'],
    'campaign': NotRequired['str | None'],
    'decision_id': 'str',
    'engine': 'str',
    'experiments': 'list[DecidedArm]',
    'fallback': 'str',
    'features': NotRequired['DecidedFeatures'],
    'granted': 'list[str]',
    'held_out': 'bool',
    'latency_us': 'int',
    'market': 'str',
    'model_artifact': NotRequired['str | None'],
    'model_version': NotRequired['int | None'],
    'propensity': 'float',
    'query': NotRequired['str'],
    'shadow': NotRequired['list[DecidedItem]'],
    'shadow_blocks': NotRequired['list[BlockAnswer]'],
    'slots': 'list[DecidedSlot]',
    'subject_id': NotRequired['str | None'],
    'trouble': 'list[str]',
})

DecisionList = TypedDict('DecisionList', {
    'items': 'list[DecisionAnswer]',
})

Delivery = TypedDict('Delivery', {
    'alert': 'int',
    'due_at': 'str',
    'id': 'str',
    'last_error': NotRequired['str | None'],
    'most_tries': 'int',
    'state': 'str',
    'to': 'str',
    'tries': 'int',
})

DeliveryList = TypedDict('DeliveryList', {
    'items': 'list[Delivery]',
    'untold': 'int',
})

DepartmentCount = TypedDict('DepartmentCount', {
    'name': 'str',
    'products': 'int',
    'sold_out': 'int',
})

DeviceName: TypeAlias = "Literal['unknown', 'desktop', 'phone', 'tablet', 'server']"

EncodedQueries = TypedDict('EncodedQueries', {
    'at_hand': 'int',
    'in_time': 'int',
    'kept': 'int',
    'late': 'int',
})

EncoderBudget = TypedDict('EncoderBudget', {
    'calls_today': 'int',
    'failures_today': 'int',
    'texts_per_day': 'int',
    'texts_today': 'int',
    'tokens_per_day': 'int',
    'tokens_today': 'int',
})

EncoderStatus = TypedDict('EncoderStatus', {
    'budget': NotRequired['EncoderBudget'],
    'encoder': 'str',
    'products': 'int',
    'products_with_vectors': 'int',
    'queries': 'EncodedQueries',
    'trouble': NotRequired['str'],
    'used': 'bool',
})

EvaluationRequest = TypedDict('EvaluationRequest', {
    'context': 'Any',
})

Experiment = TypedDict('Experiment', {
    'arms': 'list[ExperimentArm]',
    'bandit': NotRequired['ExperimentBandit'],
    'ends_at': NotRequired['str'],
    'hypothesis': NotRequired['str'],
    'kind': NotRequired['ExperimentKind'],
    'layer': NotRequired['str'],
    'layer_range': NotRequired['list[float]'],
    'metrics': NotRequired['list[str]'],
    'owner': NotRequired['str'],
    'ramp_percent': NotRequired['float'],
    'salt': NotRequired['str'],
    'slot_minutes': NotRequired['int'],
    'starts_at': NotRequired['str'],
    'surface': NotRequired['ExperimentSurface'],
    'targeting': NotRequired['ExperimentTargeting'],
    'title': NotRequired['str'],
    'unit': NotRequired['ExperimentUnit'],
})

ExperimentAnswer: TypeAlias = 'Any'

ExperimentArm = TypedDict('ExperimentArm', {
    'change': NotRequired['ExperimentChange'],
    'name': 'str',
    'percent': 'float',
    'value': NotRequired['Any'],
})

ExperimentBandit = TypedDict('ExperimentBandit', {
    'epoch_minutes': NotRequired['int'],
    'kind': 'BanditKindWire',
    'least_percent': NotRequired['float'],
    'reward': 'RewardWire',
    'window_hours': NotRequired['int'],
})

ExperimentChange = TypedDict('ExperimentChange', {
    'boosts': NotRequired['list[ChangedBoost]'],
    'count': NotRequired['int'],
    'diversity': NotRequired['float'],
    'filter': NotRequired['str'],
    'goal': NotRequired['GoalName'],
    'model_version': NotRequired['int'],
    'scenario': NotRequired['str'],
    'serve': NotRequired['str'],
    'typo_tolerance': NotRequired['bool'],
})

ExperimentCheck = TypedDict('ExperimentCheck', {
    'errors': 'list[Mistake]',
    'sound': 'bool',
})

ExperimentKind: TypeAlias = "Literal['test', 'flag']"

ExperimentList = TypedDict('ExperimentList', {
    'items': 'list[ExperimentAnswer]',
})

ExperimentSurface: TypeAlias = 'Any'

ExperimentTargeting = TypedDict('ExperimentTargeting', {
    'devices': NotRequired['list[TargetedDevice]'],
    'markets': NotRequired['list[str]'],
    'segments': NotRequired['list[str]'],
})

ExperimentUnit: TypeAlias = "Literal['subject', 'session', 'market_slot']"

ExplainedItem = TypedDict('ExplainedItem', {
    'contributions': 'list[ContributionAnswer]',
    'name': 'str',
    'position': 'int',
    'product_id': 'str',
    'reasons': 'list[str]',
    'score': 'float',
    'slot': 'str',
})

Explanation = TypedDict('Explanation', {
    'blocks': NotRequired['list[BlockAnswer]'],
    'decision_id': 'str',
    'items': 'list[ExplainedItem]',
    'words': 'list[str]',
})

Facet = TypedDict('Facet', {
    'distinct': 'int',
    'field': 'str',
    'statistics': NotRequired['FacetStatistics'],
    'values': 'list[FacetValue]',
})

FacetStatistics = TypedDict('FacetStatistics', {
    'max': 'float',
    'mean': 'float',
    'min': 'float',
    'sum': 'float',
})

FacetValue = TypedDict('FacetValue', {
    'count': 'int',
    'value': 'Any',
})

FacetsAnswer = TypedDict('FacetsAnswer', {
    'field': 'str',
    'values': 'list[FacetValue]',
})

FacetsRequest = TypedDict('FacetsRequest', {
    'count': NotRequired['int | None'],
    'field': 'str',
    'filter': NotRequired['str | None'],
    'market': NotRequired['str | None'],
    'query': NotRequired['str'],
    'text': NotRequired['str'],
})

FairnessRequest = TypedDict('FairnessRequest', {
    'decisions': NotRequired['int'],
    'products': NotRequired['list[ProductGroup]'],
    'shoppers': NotRequired['ShopperGroups'],
})

FlagEvaluation = TypedDict('FlagEvaluation', {
    'key': 'str',
    'metadata': 'Any',
    'reason': 'str',
    'value': NotRequired['Any'],
    'variant': NotRequired['str'],
})

FlagEvaluations = TypedDict('FlagEvaluations', {
    'eventStreams': 'list[Any]',
    'flags': 'list[FlagEvaluation]',
    'metadata': 'Any',
})

FlagRefusal = TypedDict('FlagRefusal', {
    'errorCode': 'str',
    'errorDetails': 'str',
    'key': NotRequired['str'],
})

GoalName: TypeAlias = "Literal['interest', 'revenue']"

Guardrail = TypedDict('Guardrail', {
    'at_most': 'float',
    'fewest': NotRequired['int'],
    'measure': 'GuardrailMeasure',
    'window_minutes': NotRequired['int'],
})

GuardrailMeasure: TypeAlias = "Literal['fallback_share', 'trouble_share', 'latency_ms', 'kpi_loss']"

Health = TypedDict('Health', {
    'log_lag_events': NotRequired['int'],
    'status': 'str',
    'troubles': NotRequired['list[str]'],
})

HitReason = TypedDict('HitReason', {
    'type': 'str',
    'weight': NotRequired['float'],
    'words': 'str',
})

ItemAnswer = TypedDict('ItemAnswer', {
    'image': NotRequired['str | None'],
    'name': 'str',
    'price': NotRequired['Money | None'],
    'product_id': 'str',
    'reasons': 'list[ReasonAnswer]',
    'score': 'float',
    'url': NotRequired['str | None'],
})

JobAnswer = TypedDict('JobAnswer', {
    'asked_at': 'str',
    'attempts': 'int',
    'by': 'AskedBy',
    'ended_at': NotRequired['str'],
    'error': NotRequired['str'],
    'id': 'int',
    'kind': 'JobKind',
    'progress': NotRequired['JobProgress'],
    'result': NotRequired['Any'],
    'started_at': NotRequired['str'],
    'state': 'JobState',
    'step': 'str',
    'worker': NotRequired['str'],
})

JobKind: TypeAlias = "Literal['training', 'retraining', 'export', 'privacy', 'retention', 'indexing']"

JobList = TypedDict('JobList', {
    'items': 'list[JobAnswer]',
    'next_training_at': NotRequired['str'],
})

JobProgress = TypedDict('JobProgress', {
    'done': 'int',
    'of': 'int',
})

JobState: TypeAlias = "Literal['waiting', 'running', 'done', 'failed']"

KeyAnswer = TypedDict('KeyAnswer', {
    'created_at': 'str',
    'id': 'str',
    'label': 'str',
    'scope': 'Scope',
})

KeyList = TypedDict('KeyList', {
    'items': 'list[KeyAnswer]',
})

LabelCase = TypedDict('LabelCase', {
    'about': 'Any',
    'gold': NotRequired['str | None'],
    'judgements': 'int',
    'label': NotRequired['str | None'],
    'number': 'int',
    'state': 'str',
})

LayoutAnswerWire = TypedDict('LayoutAnswerWire', {
    'arm': 'str',
    'blocks': 'list[BlockAnswer]',
    'decision_id': 'str',
    'fallback': 'str',
    'latency_us': 'int',
    'model': NotRequired['ModelAnswer | None'],
    'page': 'str',
    'propensity': 'float',
})

LayoutRequest = TypedDict('LayoutRequest', {
    'anonymous_id': NotRequired['str | None'],
    'blocks': 'list[BlockRequest]',
    'campaign': NotRequired['str | None'],
    'consent': NotRequired['ConsentWire | None'],
    'count': NotRequired['int | None'],
    'deadline_ms': NotRequired['int | None'],
    'device': NotRequired['DeviceName | None'],
    'market': NotRequired['str | None'],
    'page': 'str',
    'subject_id': NotRequired['str | None'],
    'user_id': NotRequired['str | None'],
})

LiveEvent = TypedDict('LiveEvent', {
    'at': 'str',
    'attributed': 'bool',
    'device': NotRequired['str | None'],
    'market': NotRequired['str | None'],
    'name': 'str',
    'products': 'list[LiveProduct]',
    'query': NotRequired['str | None'],
    'refusal': NotRequired['Refusal | None'],
    'value': NotRequired['Money | None'],
})

LiveProduct = TypedDict('LiveProduct', {
    'name': NotRequired['str | None'],
    'product_id': 'str',
})

LoggedRow = TypedDict('LoggedRow', {
    'predicted': NotRequired['float'],
    'predicted_target': NotRequired['float'],
    'propensity': 'float',
    'reward': 'float',
    'target': 'float',
})

Market = TypedDict('Market', {
    'automations': 'list[MarketMode]',
    'currencies': 'list[CurrencyCount]',
    'default': 'bool',
    'market': 'str',
    'own_prices': 'int',
    'region': 'str',
    'sold': 'int',
    'without_price': 'int',
})

MarketAvailability = TypedDict('MarketAvailability', {
    'from': NotRequired['str | None'],
    'market': 'str',
    'sold': 'bool',
    'until': NotRequired['str | None'],
})

MarketList = TypedDict('MarketList', {
    'currency': 'str',
    'items': 'list[Market]',
})

MarketMode = TypedDict('MarketMode', {
    'automation': 'str',
    'mode': 'str',
})

Measurement = TypedDict('Measurement', {
    'name': 'str',
    'value': 'float',
})

MerchandiseChange = TypedDict('MerchandiseChange', {
    'after': NotRequired['Any'],
    'at': 'str',
    'before': NotRequired['Any'],
    'id': 'str',
    'kind': 'MerchandiseKind',
    'made_by': 'str',
    'number': 'int',
})

MerchandiseChangeList = TypedDict('MerchandiseChangeList', {
    'items': 'list[MerchandiseChange]',
})

MerchandiseKind: TypeAlias = "Literal['rule', 'synonym']"

MetricAnswer = TypedDict('MetricAnswer', {
    'higher_is_better': 'bool',
    'name': 'str',
    'unit': 'str',
    'words': 'str',
})

MetricList = TypedDict('MetricList', {
    'items': 'list[MetricAnswer]',
})

MintedKey: TypeAlias = 'Any'

MinuteAnswer = TypedDict('MinuteAnswer', {
    'at': 'str',
    'by_model': 'int',
    'decisions': 'int',
    'events': 'int',
    'failed': 'int',
    'p50_ms': NotRequired['float'],
    'p99_ms': NotRequired['float'],
    'refused': 'int',
    'rejected': 'int',
    'requests': 'int',
})

Mistake = TypedDict('Mistake', {
    'at': 'str',
    'code': 'str',
    'detail': 'str',
})

ModeAnswer = TypedDict('ModeAnswer', {
    'canary_percent': NotRequired['float'],
    'mode': 'AutomationMode',
})

ModeRequest = TypedDict('ModeRequest', {
    'campaign': NotRequired['str | None'],
    'canary_percent': NotRequired['float | None'],
    'expected_effect': NotRequired['str'],
    'market': NotRequired['str | None'],
    'mode': 'AutomationMode',
    'risk': NotRequired['str'],
    'roll_back': NotRequired['str'],
    'why': NotRequired['str'],
})

ModelAnswer = TypedDict('ModelAnswer', {
    'name': 'str',
    'version': 'int',
})

ModelCard: TypeAlias = 'Any'

ModelList = TypedDict('ModelList', {
    'items': 'list[ModelVersionAnswer]',
})

ModelSegment = TypedDict('ModelSegment', {
    'click_rate': 'float',
    'decisions': 'int',
    'latency_ms': 'float',
    'segment': 'str',
})

ModelVersionAnswer = TypedDict('ModelVersionAnswer', {
    'artifact': 'str',
    'lineage': 'Any',
    'metrics': 'Any',
    'name': 'str',
    'stage': 'str',
    'trained_at': 'str',
    'version': 'int',
})

Money = TypedDict('Money', {
    'currency': 'str',
    'minor': 'int',
})

NamedInQuery = TypedDict('NamedInQuery', {
    'field': 'str',
    'value': 'str',
})

NewCase = TypedDict('NewCase', {
    'about': 'Any',
    'gold': NotRequired['str | None'],
})

NewCases = TypedDict('NewCases', {
    'cases': 'list[NewCase]',
    'labels': 'list[str]',
    'queue': 'str',
})

NewJob = TypedDict('NewJob', {
    'kind': 'JobKind',
})

NewJudgement = TypedDict('NewJudgement', {
    'label': 'str',
})

NewKey = TypedDict('NewKey', {
    'label': NotRequired['str'],
    'scope': 'Scope',
})

NewPrivacyRequest = TypedDict('NewPrivacyRequest', {
    'kind': 'PrivacyRequestKind',
    'names': NotRequired['list[PersonName]'],
    'regulation': NotRequired['str'],
    'request_id': NotRequired['str'],
    'subject_ids': NotRequired['list[str]'],
    'suppress': NotRequired['bool'],
})

NewWebhook = TypedDict('NewWebhook', {
    'kinds': NotRequired['list[str]'],
    'url': 'str',
})

NowLive = TypedDict('NowLive', {
    'name': 'str',
    'version': 'int',
})

OffPolicyRequest = TypedDict('OffPolicyRequest', {
    'rows': 'list[LoggedRow]',
    'threshold': NotRequired['float'],
})

OpenDsrCertificate = TypedDict('OpenDsrCertificate', {
    'audit_entry': 'int',
    'audit_hash': 'str',
    'completed_time': 'str',
    'report': 'Any',
    'subject_request_type': 'str',
})

OpenDsrDiscovery = TypedDict('OpenDsrDiscovery', {
    'api_version': 'str',
    'supported_identities': 'list[OpenDsrSupportedIdentity]',
    'supported_subject_request_types': 'list[str]',
})

OpenDsrIdentity = TypedDict('OpenDsrIdentity', {
    'identity_format': NotRequired['str'],
    'identity_type': 'str',
    'identity_value': 'str',
})

OpenDsrReceipt = TypedDict('OpenDsrReceipt', {
    'controller_id': 'str',
    'encoded_request': 'str',
    'expected_completion_time': 'str',
    'received_time': 'str',
    'subject_request_id': 'str',
})

OpenDsrRequest = TypedDict('OpenDsrRequest', {
    'regulation': 'str',
    'status_callback_urls': NotRequired['list[str]'],
    'subject_identities': 'list[OpenDsrIdentity]',
    'subject_request_id': 'str',
    'subject_request_type': 'str',
    'submitted_time': 'str',
})

OpenDsrStatus = TypedDict('OpenDsrStatus', {
    'api_version': 'str',
    'certificate': NotRequired['OpenDsrCertificate'],
    'controller_id': 'str',
    'expected_completion_time': 'str',
    'request_status': 'str',
    'results_url': NotRequired['str'],
    'subject_request_id': 'str',
})

OpenDsrSupportedIdentity = TypedDict('OpenDsrSupportedIdentity', {
    'identity_format': 'str',
    'identity_type': 'str',
})

Order = TypedDict('Order', {
    'currency': 'str',
    'id': NotRequired['str'],
    'lines': 'list[OrderLine]',
    'market': NotRequired['str | None'],
    'placed_at': 'str',
    'status': NotRequired['OrderStatus'],
    'subject_id': NotRequired['str | None'],
    'user_id': NotRequired['str'],
})

OrderBatch = TypedDict('OrderBatch', {
    'all_or_nothing': NotRequired['bool'],
    'delete': NotRequired['list[str]'],
    'patch': NotRequired['list[Any]'],
    'upsert': NotRequired['list[Order]'],
})

OrderLine = TypedDict('OrderLine', {
    'kind': NotRequired['OrderLineKind'],
    'product_id': 'str',
    'quantity': 'int',
    'unit_price': 'Money',
    'variant_id': NotRequired['str | None'],
})

OrderLineKind: TypeAlias = "Literal['sale', 'return']"

OrderPage = TypedDict('OrderPage', {
    'items': 'list[Order]',
    'next_cursor': NotRequired['str | None'],
})

OrderStatus: TypeAlias = "Literal['completed', 'cancelled', 'refunded']"

PairAgreement = TypedDict('PairAgreement', {
    'common_cases': 'int',
    'kappa': NotRequired['float | None'],
    'one': 'str',
    'other': 'str',
})

PasswordChange = TypedDict('PasswordChange', {
    'new_password': 'str',
    'password': 'str',
})

PersonName = TypedDict('PersonName', {
    'format': NotRequired['PersonNameFormat'],
    'kind': 'PersonNameKind',
    'value': 'str',
})

PersonNameFormat: TypeAlias = "Literal['raw', 'md5', 'sha1', 'sha256']"

PersonNameKind: TypeAlias = "Literal['user_id', 'anonymous_id', 'email', 'phone']"

PersonalRead = TypedDict('PersonalRead', {
    'at': 'str',
    'subject_id': NotRequired['str'],
    'what': 'str',
    'who': 'str',
    'why': 'str',
})

PersonalReadList = TypedDict('PersonalReadList', {
    'items': 'list[PersonalRead]',
})

PlanAnswer = TypedDict('PlanAnswer', {
    'days': NotRequired['int'],
    'lift': 'float',
    'units': 'int',
})

PlanRequest = TypedDict('PlanRequest', {
    'alpha': NotRequired['float'],
    'lift': NotRequired['float | None'],
    'mean': NotRequired['float | None'],
    'peeking': NotRequired['bool'],
    'power': NotRequired['float'],
    'share': NotRequired['float | None'],
    'treated_share': NotRequired['float'],
    'units': NotRequired['int | None'],
    'units_per_day': NotRequired['float | None'],
    'variance': NotRequired['float | None'],
})

PlayingAnswer = TypedDict('PlayingAnswer', {
    'began_at': 'str',
    'ends_at': 'str',
    'product_id': NotRequired['str | None'],
    'scene': 'Scene',
})

Policy = TypedDict('Policy', {
    'default_region': 'str',
    'regions': 'dict[str, PolicyRegion]',
})

PolicyDryRun = TypedDict('PolicyDryRun', {
    'by_purpose': 'dict[str, PolicyEffect]',
    'by_region': 'dict[str, int]',
    'decisions': 'int',
    'locks_everybody_out': 'bool',
})

PolicyEffect = TypedDict('PolicyEffect', {
    'after': 'int',
    'before': 'int',
    'gained': 'int',
    'lost': 'int',
})

PolicyInForce = TypedDict('PolicyInForce', {
    'policy': 'Policy',
    'version': 'int',
    'versions': 'list[PolicyVersion]',
})

PolicyRegion = TypedDict('PolicyRegion', {
    'allowed_unless_denied': NotRequired['list[str]'],
    'markets': NotRequired['list[str]'],
    'never': NotRequired['list[str]'],
    'refused_by_privacy_control': NotRequired['list[str]'],
})

PolicyVersion = TypedDict('PolicyVersion', {
    'at': 'str',
    'policy': 'Policy',
    'version': 'int',
    'who': 'str',
})

Price = TypedDict('Price', {
    'amount': 'Money',
    'list_amount': NotRequired['Money | None'],
    'market': NotRequired['str | None'],
})

PrivacyRequest = TypedDict('PrivacyRequest', {
    'completed_at': NotRequired['str'],
    'due_at': 'str',
    'error': NotRequired['str'],
    'id': 'str',
    'kind': 'str',
    'received_at': 'str',
    'regulation': 'str',
    'report': NotRequired['Any'],
    'source': 'str',
    'state': 'str',
    'suppress': 'bool',
})

PrivacyRequestKind: TypeAlias = "Literal['access', 'portability', 'erasure', 'verification']"

PrivacyRequestList = TypedDict('PrivacyRequestList', {
    'items': 'list[PrivacyRequest]',
})

Problem = TypedDict('Problem', {
    'code': 'str',
    'detail': NotRequired['str'],
    'errors': NotRequired['list[Mistake]'],
    'hint': 'str',
    'request_id': 'str',
    'status': 'int',
    'title': 'str',
    'type': 'str',
})

Product = TypedDict('Product', {
    'attributes': NotRequired['dict[str, AttributeValue]'],
    'availability': NotRequired['list[MarketAvailability]'],
    'brand': NotRequired['str | None'],
    'category_path': NotRequired['list[str]'],
    'created_at': NotRequired['str'],
    'description': NotRequired['str'],
    'id': NotRequired['str'],
    'images': NotRequired['list[str]'],
    'name': 'str',
    'status': NotRequired['ProductStatus'],
    'updated_at': NotRequired['str'],
    'url': NotRequired['str | None'],
    'variants': NotRequired['list[Variant]'],
})

ProductBatch = TypedDict('ProductBatch', {
    'all_or_nothing': NotRequired['bool'],
    'delete': NotRequired['list[str]'],
    'patch': NotRequired['list[Any]'],
    'upsert': NotRequired['list[Product]'],
})

ProductGroup = TypedDict('ProductGroup', {
    'filter': 'str',
    'name': 'str',
})

ProductPage = TypedDict('ProductPage', {
    'items': 'list[Product]',
    'next_cursor': NotRequired['str | None'],
})

ProductStatus: TypeAlias = "Literal['visible', 'hidden', 'archived']"

Promotion = TypedDict('Promotion', {
    'version': NotRequired['int | None'],
})

QueryFigures: TypeAlias = 'Any'

QueryFiguresList = TypedDict('QueryFiguresList', {
    'items': 'list[QueryFigures]',
})

ReasonAnswer = TypedDict('ReasonAnswer', {
    'age_days': NotRequired['float'],
    'elapsed_days': NotRequired['float'],
    'interval_days': NotRequired['float'],
    'product_id': NotRequired['str'],
    'type': 'str',
    'weight': NotRequired['float'],
    'words': 'str',
})

RecommendAnswer = TypedDict('RecommendAnswer', {
    'arm': 'str',
    'decision_id': 'str',
    'experiments': NotRequired['list[ArmAnswer]'],
    'fallback': 'str',
    'latency_us': 'int',
    'model': NotRequired['ModelAnswer | None'],
    'notes': NotRequired['list[Mistake]'],
    'slots': 'list[SlotAnswer]',
})

RecommendPreview = TypedDict('RecommendPreview', {
    'fallback': 'str',
    'model': NotRequired['ModelAnswer | None'],
    'notes': NotRequired['list[Mistake]'],
    'rules': 'list[str]',
    'slots': 'list[SlotAnswer]',
})

RecommendRequest = TypedDict('RecommendRequest', {
    'anonymous_id': NotRequired['str | None'],
    'campaign': NotRequired['str | None'],
    'consent': NotRequired['ConsentWire | None'],
    'deadline_ms': NotRequired['int | None'],
    'device': NotRequired['DeviceName | None'],
    'market': NotRequired['str | None'],
    'segments': NotRequired['list[str]'],
    'session_id': NotRequired['str | None'],
    'slots': 'list[SlotRequest]',
    'subject_id': NotRequired['str | None'],
    'user_id': NotRequired['str | None'],
})

RefinementRequest = TypedDict('RefinementRequest', {
    'field': 'str',
    'filter': 'str',
})

Refusal = TypedDict('Refusal', {
    'code': 'str',
    'hint': 'str',
    'problem': 'str',
})

RejectedEvent = TypedDict('RejectedEvent', {
    'at': 'str',
    'code': 'str',
    'detail': NotRequired['str'],
    'hint': 'str',
    'key': 'str',
    'position': 'int',
    'problem': 'str',
})

RejectedEvents = TypedDict('RejectedEvents', {
    'counts': 'dict[str, int]',
    'last': 'list[RejectedEvent]',
})

Replay = TypedDict('Replay', {
    'changed_since': 'list[str]',
    'identical': 'bool',
    'recorded': 'list[list[DecidedItem]]',
    'recorded_blocks': NotRequired['list[BlockAnswer]'],
    'replayed': 'list[list[DecidedItem]]',
    'replayed_blocks': NotRequired['list[BlockAnswer]'],
})

RetentionPeriods = TypedDict('RetentionPeriods', {
    'answer_days': 'int',
    'decisions_days': 'int',
    'events_days': 'int',
    'kinds_days': 'dict[str, int]',
    'looks_days': 'int',
    'proof_days': 'int',
})

RewardWire: TypeAlias = "Literal['click', 'order']"

Scene: TypeAlias = "Literal['trend', 'stockout', 'outage']"

SceneRequest = TypedDict('SceneRequest', {
    'scene': 'Scene',
})

Scope: TypeAlias = "Literal['public', 'secret', 'admin', 'owner', 'merchandiser', 'analyst', 'support', 'auditor']"

SearchAnalytics: TypeAlias = 'Any'

SearchAnswer: TypeAlias = 'Any'

SearchDay: TypeAlias = 'Any'

SearchFigures = TypedDict('SearchFigures', {
    'carts': 'int',
    'click_rate': 'float',
    'clicked': 'int',
    'clicks': 'int',
    'conversion_rate': 'float',
    'mean_click_position': NotRequired['float'],
    'no_result_rate': 'float',
    'ordered': 'int',
    'revenue': 'list[Money]',
    'searches': 'int',
    'without_results': 'int',
})

SearchFound = TypedDict('SearchFound', {
    'banners': 'list[str]',
    'facets': 'list[Facet]',
    'hits': 'list[SearchHit]',
    'named': 'list[NamedInQuery]',
    'redirect': NotRequired['str'],
    'rules': 'list[str]',
    'searched_for': NotRequired['str'],
    'steps': 'list[SearchStep]',
    'total': 'int',
})

SearchHit = TypedDict('SearchHit', {
    'brand': NotRequired['str | None'],
    'category_path': 'list[str]',
    'image': NotRequired['str | None'],
    'in_stock': 'bool',
    'measurements': NotRequired['list[Measurement]'],
    'name': 'str',
    'name_parts': 'list[TextPart]',
    'price': NotRequired['Money | None'],
    'product_id': 'str',
    'reasons': 'list[HitReason]',
    'score': 'float',
    'url': NotRequired['str | None'],
})

SearchLatency = TypedDict('SearchLatency', {
    'p50_ms': 'float',
    'p95_ms': 'float',
    'p99_ms': 'float',
})

SearchPreviewRequest = TypedDict('SearchPreviewRequest', {
    'at': NotRequired['str'],
    'rules': NotRequired['list[SearchRule]'],
    'search': 'SearchRequest',
    'synonyms': NotRequired['list[SearchSynonym]'],
})

SearchRefinement = TypedDict('SearchRefinement', {
    'count': 'int',
    'field': 'str',
})

SearchRequest = TypedDict('SearchRequest', {
    'anonymous_id': NotRequired['str | None'],
    'campaign': NotRequired['str | None'],
    'category': NotRequired['str | None'],
    'consent': NotRequired['ConsentWire | None'],
    'count': NotRequired['int | None'],
    'deadline_ms': NotRequired['int | None'],
    'device': NotRequired['DeviceName | None'],
    'explain': NotRequired['bool'],
    'facet_values': NotRequired['int | None'],
    'facets': NotRequired['list[str]'],
    'fields': NotRequired['list[str]'],
    'filter': NotRequired['str | None'],
    'languages': NotRequired['list[str]'],
    'market': NotRequired['str | None'],
    'offset': NotRequired['int'],
    'query': NotRequired['str'],
    'refinements': NotRequired['list[RefinementRequest]'],
    'segments': NotRequired['list[str]'],
    'session_id': NotRequired['str | None'],
    'sort': NotRequired['list[SortRequest]'],
    'subject_id': NotRequired['str | None'],
    'typo_tolerance': NotRequired['bool | None'],
    'unfinished': NotRequired['bool'],
    'user_id': NotRequired['str | None'],
})

SearchRule = TypedDict('SearchRule', {
    'conditions': NotRequired['list[SearchRuleCondition]'],
    'consequences': 'list[SearchRuleConsequence]',
    'enabled': NotRequired['bool'],
    'from': NotRequired['str'],
    'id': NotRequired['str'],
    'markets': NotRequired['list[str]'],
    'name': NotRequired['str'],
    'priority': NotRequired['int'],
    'segments': NotRequired['list[str]'],
    'until': NotRequired['str'],
})

SearchRuleCondition = TypedDict('SearchRuleCondition', {
    'category': NotRequired['str'],
    'query': NotRequired['SearchRuleQuery'],
    'segment': NotRequired['str'],
})

SearchRuleConsequence: TypeAlias = 'Any'

SearchRuleList = TypedDict('SearchRuleList', {
    'items': 'list[SearchRule]',
})

SearchRuleMatch: TypeAlias = "Literal['is', 'starts_with', 'ends_with', 'contains']"

SearchRuleQuery = TypedDict('SearchRuleQuery', {
    'match': NotRequired['SearchRuleMatch'],
    'text': 'str',
})

SearchStep = TypedDict('SearchStep', {
    'type': 'str',
    'words': 'str',
})

SearchSynonym = TypedDict('SearchSynonym', {
    'from': NotRequired['str'],
    'id': NotRequired['str'],
    'to': NotRequired['list[str]'],
    'words': NotRequired['list[str]'],
})

SearchSynonymList = TypedDict('SearchSynonymList', {
    'items': 'list[SearchSynonym]',
})

SessionAnswer = TypedDict('SessionAnswer', {
    'changes': 'list[str]',
    'csrf_token': NotRequired['str'],
    'has_password': 'bool',
    'issuer': NotRequired['str'],
    'label': NotRequired['str'],
    'reads': 'list[str]',
    'scope': NotRequired['Scope'],
    'signed_in': 'bool',
})

ShopifyComplianceWebhook = TypedDict('ShopifyComplianceWebhook', {
    'customer': NotRequired['ShopifyCustomer'],
    'data_request': NotRequired['Any'],
    'orders_to_redact': NotRequired['list[int]'],
    'shop_id': NotRequired['int'],
})

ShopifyCustomer = TypedDict('ShopifyCustomer', {
    'email': NotRequired['str | None'],
    'id': NotRequired['int | None'],
    'phone': NotRequired['str | None'],
})

ShopifyTaken = TypedDict('ShopifyTaken', {
    'request_id': 'str',
})

ShopperGroups: TypeAlias = "Literal['device', 'market']"

SignIn = TypedDict('SignIn', {
    'key': NotRequired['str'],
    'name': NotRequired['str'],
    'password': NotRequired['str'],
})

SlotAnswer = TypedDict('SlotAnswer', {
    'items': 'list[ItemAnswer]',
    'name': 'str',
})

SlotList = TypedDict('SlotList', {
    'items': 'list[ConfiguredSlot]',
})

SlotPreviewRequest = TypedDict('SlotPreviewRequest', {
    'at': NotRequired['str'],
    'recommend': 'RecommendRequest',
    'rules': NotRequired['list[SlotRule]'],
})

SlotRequest = TypedDict('SlotRequest', {
    'after': NotRequired['str | None'],
    'boosts': NotRequired['list[BoostRequest]'],
    'count': NotRequired['int | None'],
    'diversity': NotRequired['float | None'],
    'exclude': NotRequired['list[str]'],
    'filter': NotRequired['str | None'],
    'goal': NotRequired['GoalName | None'],
    'name': NotRequired['str | None'],
    'products': NotRequired['list[str]'],
    'scenario': 'str',
})

SlotRule = TypedDict('SlotRule', {
    'campaigns': NotRequired['list[str]'],
    'consequences': 'list[SlotRuleConsequence]',
    'enabled': NotRequired['bool'],
    'from': NotRequired['str'],
    'id': NotRequired['str'],
    'markets': NotRequired['list[str]'],
    'name': NotRequired['str'],
    'priority': NotRequired['int'],
    'slots': NotRequired['list[str]'],
    'until': NotRequired['str'],
})

SlotRuleConsequence: TypeAlias = 'Any'

SlotRuleList = TypedDict('SlotRuleList', {
    'items': 'list[SlotRule]',
})

SortRequest = TypedDict('SortRequest', {
    'descending': NotRequired['bool'],
    'field': 'str',
})

StageAnswer = TypedDict('StageAnswer', {
    'playing': 'list[PlayingAnswer]',
    'visits': 'int',
})

StockBatch = TypedDict('StockBatch', {
    'all_or_nothing': NotRequired['bool'],
    'delete': NotRequired['list[StockPlace]'],
    'upsert': NotRequired['list[StockLevel]'],
})

StockLevel = TypedDict('StockLevel', {
    'location_id': 'str',
    'product_id': 'str',
    'quantity': 'int',
    'updated_at': NotRequired['str'],
    'variant_id': 'str',
})

StockList = TypedDict('StockList', {
    'items': 'list[StockLevel]',
})

StockPlace = TypedDict('StockPlace', {
    'location_id': 'str',
    'product_id': 'str',
    'variant_id': 'str',
})

StockQuantity = TypedDict('StockQuantity', {
    'quantity': 'int',
})

StockWord: TypeAlias = "Literal['out', 'few', 'plenty']"

Storefront = TypedDict('Storefront', {
    'capabilities': 'list[str]',
    'market': 'str',
})

StorefrontProduct = TypedDict('StorefrontProduct', {
    'attributes': 'dict[str, AttributeValue]',
    'brand': NotRequired['str | None'],
    'category_path': 'list[str]',
    'description': 'str',
    'id': 'str',
    'images': 'list[str]',
    'in_stock': 'bool',
    'list_price': NotRequired['Money | None'],
    'name': 'str',
    'price': NotRequired['Money | None'],
    'url': NotRequired['str | None'],
    'variants': 'list[StorefrontVariant]',
})

StorefrontProducts = TypedDict('StorefrontProducts', {
    'products': 'list[StorefrontProduct]',
})

StorefrontVariant = TypedDict('StorefrontVariant', {
    'attributes': 'dict[str, AttributeValue]',
    'id': 'str',
    'images': 'list[str]',
    'list_price': NotRequired['Money | None'],
    'price': NotRequired['Money | None'],
    'stock': 'StockWord',
})

SuggestAnswer = TypedDict('SuggestAnswer', {
    'suggestions': 'list[Suggestion]',
})

SuggestRequest = TypedDict('SuggestRequest', {
    'anonymous_id': NotRequired['str | None'],
    'brands': NotRequired['int | None'],
    'categories': NotRequired['int | None'],
    'consent': NotRequired['ConsentWire | None'],
    'market': NotRequired['str | None'],
    'products': NotRequired['int | None'],
    'queries': NotRequired['int | None'],
    'subject_id': NotRequired['str | None'],
    'text': 'str',
    'user_id': NotRequired['str | None'],
})

Suggestion = TypedDict('Suggestion', {
    'image': NotRequired['str'],
    'personal': 'bool',
    'price': NotRequired['Money'],
    'product_id': NotRequired['str'],
    'text': 'str',
    'trending': 'bool',
    'type': 'str',
    'url': NotRequired['str'],
    'weight': 'int',
})

SynonymProposal = TypedDict('SynonymProposal', {
    'id': 'str',
    'likeness': 'float',
    'pairs': 'int',
    'proposed_at': 'str',
    'words': 'list[str]',
})

SynonymProposalList = TypedDict('SynonymProposalList', {
    'items': 'list[SynonymProposal]',
})

TargetedDevice: TypeAlias = "Literal['unknown', 'desktop', 'phone', 'tablet', 'server']"

TextPart = TypedDict('TextPart', {
    'hit': 'bool',
    'text': 'str',
})

TrackCall = TypedDict('TrackCall', {
    'anonymousId': NotRequired['str | None'],
    'context': NotRequired['Any | None'],
    'event': NotRequired['str | None'],
    'messageId': NotRequired['str | None'],
    'properties': NotRequired['Any | None'],
    'sentAt': NotRequired['str | None'],
    'timestamp': NotRequired['str | None'],
    'traits': NotRequired['Any | None'],
    'userId': NotRequired['str | None'],
    'writeKey': NotRequired['Any'],
})

Tracked = TypedDict('Tracked', {
    'rejected': NotRequired['list[Mistake]'],
    'success': 'bool',
})

User = TypedDict('User', {
    'changed_at': 'str',
    'created_at': 'str',
    'name': 'str',
    'role': 'Scope',
})

UserList = TypedDict('UserList', {
    'items': 'list[User]',
})

UserWord = TypedDict('UserWord', {
    'password': NotRequired['str'],
    'role': 'Scope',
})

Variant = TypedDict('Variant', {
    'attributes': NotRequired['dict[str, AttributeValue]'],
    'cost': NotRequired['Money | None'],
    'gtin': NotRequired['str | None'],
    'id': 'str',
    'images': NotRequired['list[str]'],
    'prices': NotRequired['list[Price]'],
})

VaultRotation = TypedDict('VaultRotation', {
    'keys_wrapped': 'int',
})

Webhook = TypedDict('Webhook', {
    'created_at': 'str',
    'created_by': 'str',
    'id': 'str',
    'kinds': 'list[str]',
    'secret': NotRequired['str'],
    'url': 'str',
})

WebhookList = TypedDict('WebhookList', {
    'items': 'list[Webhook]',
})
