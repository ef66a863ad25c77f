"""Shapes of requests and answers. Made by tools/generate.py from openapi/merx.json."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

AskedBy: TypeAlias = "Literal['schedule', 'request']"

AttributeValue: TypeAlias = 'bool | float | str | list[str]'

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

BoostRequest = TypedDict('BoostRequest', {
    'field': 'str',
    'strength': 'float',
})

ConsentWire = TypedDict('ConsentWire', {
    'analytics': NotRequired['bool | None'],
    'automated_decisions': NotRequired['bool | None'],
    'marketing': NotRequired['bool | None'],
    'personalisation': NotRequired['bool | None'],
    'sale_sharing': NotRequired['bool | None'],
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
    'scenario': 'str',
})

DecisionAnswer = TypedDict('DecisionAnswer', {
    'arm': 'str',
    'at': 'str',
    'decision_id': 'str',
    'engine': 'str',
    'fallback': 'str',
    'granted': 'list[str]',
    'history': 'list[str]',
    'latency_us': 'int',
    'market': 'str',
    'model_version': NotRequired['int | None'],
    'propensity': 'float',
    'query': NotRequired['str'],
    'slots': 'list[DecidedSlot]',
    'subject_id': NotRequired['str | None'],
    'trouble': 'list[str]',
})

DecisionList = TypedDict('DecisionList', {
    'items': 'list[DecisionAnswer]',
})

DeviceName: TypeAlias = "Literal['unknown', 'desktop', 'phone', 'tablet', 'server']"

ExplainedItem = TypedDict('ExplainedItem', {
    'name': 'str',
    'position': 'int',
    'product_id': 'str',
    'reasons': 'list[str]',
    'score': 'float',
    'slot': 'str',
})

Explanation = TypedDict('Explanation', {
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
})

JobKind: TypeAlias = "Literal['training', 'export']"

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

MarketAvailability = TypedDict('MarketAvailability', {
    'from': NotRequired['str | None'],
    'market': 'str',
    'sold': 'bool',
    'until': NotRequired['str | None'],
})

Measurement = TypedDict('Measurement', {
    'name': 'str',
    'value': 'float',
})

MintedKey: TypeAlias = 'Any'

Mistake = TypedDict('Mistake', {
    'at': 'str',
    'code': 'str',
    'detail': 'str',
})

ModelAnswer = TypedDict('ModelAnswer', {
    'name': 'str',
    'version': 'int',
})

ModelList = TypedDict('ModelList', {
    'items': 'list[ModelVersionAnswer]',
})

ModelVersionAnswer = TypedDict('ModelVersionAnswer', {
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

NewJob = TypedDict('NewJob', {
    'kind': 'JobKind',
})

NewKey = TypedDict('NewKey', {
    'label': NotRequired['str'],
    'scope': 'Scope',
})

NowLive = TypedDict('NowLive', {
    'name': 'str',
    'version': 'int',
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

Price = TypedDict('Price', {
    'amount': 'Money',
    'list_amount': NotRequired['Money | None'],
    'market': NotRequired['str | None'],
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

ProductPage = TypedDict('ProductPage', {
    'items': 'list[Product]',
    'next_cursor': NotRequired['str | None'],
})

ProductStatus: TypeAlias = "Literal['visible', 'hidden', 'archived']"

Promotion = TypedDict('Promotion', {
    'version': NotRequired['int | None'],
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
    'fallback': 'str',
    'latency_us': 'int',
    'model': NotRequired['ModelAnswer | None'],
    'notes': NotRequired['list[Mistake]'],
    'slots': 'list[SlotAnswer]',
})

RecommendRequest = TypedDict('RecommendRequest', {
    'anonymous_id': NotRequired['str | None'],
    'consent': NotRequired['ConsentWire | None'],
    'deadline_ms': NotRequired['int | None'],
    'device': NotRequired['DeviceName | None'],
    'market': NotRequired['str | None'],
    'slots': 'list[SlotRequest]',
    'subject_id': NotRequired['str | None'],
    'user_id': NotRequired['str | None'],
})

RefinementRequest = TypedDict('RefinementRequest', {
    'field': 'str',
    'filter': 'str',
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
    'identical': 'bool',
    'recorded': 'list[list[DecidedItem]]',
    'replayed': 'list[list[DecidedItem]]',
})

Scope: TypeAlias = "Literal['public', 'secret', 'admin']"

SearchAnswer = TypedDict('SearchAnswer', {
    'arm': 'str',
    'banners': 'list[str]',
    'decision_id': 'str',
    'facets': 'list[Facet]',
    'fallback': 'str',
    'hits': 'list[SearchHit]',
    'latency_us': 'int',
    'model': NotRequired['ModelAnswer | None'],
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

SearchRequest = TypedDict('SearchRequest', {
    'anonymous_id': NotRequired['str | None'],
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
    'market': NotRequired['str | None'],
    'offset': NotRequired['int'],
    'query': NotRequired['str'],
    'refinements': NotRequired['list[RefinementRequest]'],
    'segments': NotRequired['list[str]'],
    'sort': NotRequired['list[SortRequest]'],
    'subject_id': NotRequired['str | None'],
    'typo_tolerance': NotRequired['bool | None'],
    'unfinished': NotRequired['bool'],
    'user_id': NotRequired['str | None'],
})

SearchStep = TypedDict('SearchStep', {
    'type': 'str',
    'words': 'str',
})

SlotAnswer = TypedDict('SlotAnswer', {
    'items': 'list[ItemAnswer]',
    'name': 'str',
})

SlotRequest = TypedDict('SlotRequest', {
    'after': NotRequired['str | None'],
    'boosts': NotRequired['list[BoostRequest]'],
    'count': NotRequired['int | None'],
    'diversity': NotRequired['float | None'],
    'exclude': NotRequired['list[str]'],
    'filter': NotRequired['str | None'],
    'name': NotRequired['str | None'],
    'products': NotRequired['list[str]'],
    'scenario': 'str',
})

SortRequest = TypedDict('SortRequest', {
    'descending': NotRequired['bool'],
    'field': 'str',
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
    'brands': NotRequired['int | None'],
    'categories': NotRequired['int | None'],
    'market': NotRequired['str | None'],
    'products': NotRequired['int | None'],
    'queries': NotRequired['int | None'],
    'text': 'str',
})

Suggestion = TypedDict('Suggestion', {
    'image': NotRequired['str'],
    'price': NotRequired['Money'],
    'product_id': NotRequired['str'],
    'text': 'str',
    'type': 'str',
    'url': NotRequired['str'],
    'weight': 'int',
})

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

Variant = TypedDict('Variant', {
    'attributes': NotRequired['dict[str, AttributeValue]'],
    'cost': NotRequired['Money | None'],
    'gtin': NotRequired['str | None'],
    'id': 'str',
    'images': NotRequired['list[str]'],
    'prices': NotRequired['list[Price]'],
})
