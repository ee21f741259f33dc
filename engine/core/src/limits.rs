//! All limits of the API and of the format. Input over a limit is refused with the name of the limit, never truncated.
//! "Characters" are Unicode scalar values; sizes of content and payloads are UTF-8 bytes.

/// Maximum number of connections to one port. Each connection costs some kilobytes, plus the memory for a request body
/// while it sends a small one.
pub const CONNECTIONS_MAX: usize = 512;
/// Maximum number of connections from one IP address, unless configured. A quarter of [`CONNECTIONS_MAX`]: one client
/// that opens as many as it may leaves room for others.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 128;
/// Idle time of a connection between two requests, unless configured, in seconds. Longer than the 60 s of common
/// proxies, so that the proxy closes an idle connection before the engine does. Otherwise the engine could close it
/// while the proxy sends a request.
pub const KEEP_ALIVE_SECONDS_DEFAULT: u64 = 75;

/// Maximum size of a memory's content and of an event's payload, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1 << 20;
/// Maximum length of a title, in characters.
pub const TITLE_CHARS_MAX: usize = 120;
/// Maximum length of a project, memory type, actor, session or event type, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Maximum number of tags per memory.
pub const TAGS_MAX: usize = 32;
/// Maximum length of a tag, in characters.
pub const TAG_CHARS_MAX: usize = 64;
/// Maximum number of causes per event. An event usually has few causes; hundreds of related events should be found by a
/// query instead.
pub const CAUSES_MAX: usize = 64;
/// Maximum number of events per batch.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// Maximum size of a request body, in bytes. Escaping (`\u0000`) may make content of [`CONTENT_BYTES_MAX`] six times as
/// large.
pub const BODY_BYTES_MAX: usize = 8 << 20;
/// Maximum number of messages per JSON-RPC batch. More messages could not be processed within the time limit of one
/// request.
pub const RPC_BATCH_MAX: usize = 100;
/// Maximum nesting depth of a JSON body: enough for any payload, and safe for every parser's stack.
pub const JSON_DEPTH_MAX: usize = 64;
/// Maximum number of keys per JSON object in a body. Each key is compared with all other keys.
pub const JSON_KEYS_MAX: usize = 10_000;
/// Maximum number of JSON values in a body, nested ones included. The largest graph batch, 500 entities with 256
/// observations each, has 130,000. Without this limit, a body of the maximum size made of zeros would take 130 MiB once
/// parsed.
pub const JSON_VALUES_MAX: usize = 200_000;
/// Maximum length of `q`, in characters.
pub const QUERY_CHARS_MAX: usize = 4096;
/// Maximum length of a URL's query string, in bytes: a `q` of the maximum length in escaped four-byte characters, and
/// the filters.
pub const URL_QUERY_BYTES_MAX: usize = 12 * QUERY_CHARS_MAX + 4096;
/// Minimum `limit` of a search.
pub const SEARCH_LIMIT_MIN: u32 = 1;
/// Maximum number of results per search.
pub const SEARCH_LIMIT_MAX: u32 = 1000;
/// Default number of results per search.
pub const SEARCH_LIMIT_DEFAULT: u32 = 20;
/// Maximum length of the reason of an invalidation, in characters.
pub const REASON_CHARS_MAX: usize = 1000;
/// Maximum number of targets per `memory.forgotten` event, so that its line stays far below 1 MiB.
pub const FORGET_TARGETS_MAX: usize = 1000;
/// Maximum number of ids per request for entries.
pub const ENTRIES_MAX: usize = 200;
/// Maximum total content of one response with entries, in bytes. Entries of the maximum size would otherwise add up to
/// 200 MiB.
pub const ENTRIES_BYTES_MAX: u64 = 8 << 20;
/// Maximum number of memories before and after the anchor of a timeline.
pub const TIMELINE_MAX: u32 = 20;
/// Default number of memories before and after the anchor of a timeline.
pub const TIMELINE_DEFAULT: u32 = 5;
/// Maximum number of events in the history of a memory.
pub const HISTORY_MAX: usize = 1000;
/// Maximum number of events that one filtered page of `GET /v1/events` scans. The response reports where
/// to continue.
pub const EVENTS_SCAN_MAX: usize = 20_000;
/// Maximum number of documents per request.
pub const DOCUMENTS_MAX: usize = 100;
/// Maximum size of a document's piece, in bytes: about 500 tokens. Small enough to cover one topic and to share a
/// context with other pieces, large enough for a paragraph or two.
pub const DOCUMENT_PIECE_BYTES_MAX: usize = 2000;
/// Maximum number of pieces per document. The pieces of a new version and the ends of as many old ones are committed in
/// one batch.
pub const DOCUMENT_PIECES_MAX: usize = BATCH_EVENTS_MAX / 2;
/// Default memory type of a document's pieces.
pub const DOCUMENT_TYPE_DEFAULT: &str = "document";
/// Maximum size of another product's file that is imported as one unit, in bytes. Files of lines and databases may be
/// larger.
pub const IMPORT_FILE_BYTES_MAX: u64 = 64 << 20;
/// Maximum number of files per import.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Maximum depth of nested directories that an import reads.
pub const IMPORT_DEPTH_MAX: usize = 32;
/// Maximum length of a feedback note, in characters.
pub const NOTE_CHARS_MAX: usize = 1000;
/// Maximum age in a retention rule, in days: a hundred years.
pub const RETENTION_AGE_DAYS_MAX: u32 = 36_500;
/// Maximum number of entries in a retention rule.
pub const RETENTION_ENTRIES_MAX: u64 = 1_000_000_000;
/// Maximum number of projects with their own retention rules.
pub const RETENTION_OVERRIDES_MAX: usize = 1000;
/// Default share of a project's memories, in percent, that a retention run may remove without confirmation of the
/// number.
pub const SPIKE_GUARD_PERCENT_DEFAULT: u8 = 20;
/// Number of memories in all projects that a retention run may remove without confirmation of the number.
pub const SPIKE_GUARD_MEMORIES: u64 = 10_000;
/// Maximum and default number of ids listed in the response with a retention plan.
pub const RETENTION_IDS_MAX: u64 = 1000;
/// Maximum length of a document's source name, in characters. Longer than other names because sources are paths and
/// URLs.
pub const SOURCE_CHARS_MAX: usize = 512;
/// Maximum number of ids per request to forget.
pub const FORGET_IDS_MAX: usize = 1000;
/// Maximum number of memories that one request forgets: a hundred events of [`FORGET_TARGETS_MAX`], committed in one
/// batch.
pub const FORGET_MEMORIES_MAX: usize = 100_000;
/// Maximum number of matches that a search counts. With more matches `total` is this number and `total_is_bound` is
/// set. Counting a million matches would cost more than finding the best twenty.
pub const SEARCH_TOTAL_MAX: u32 = 100_000;
/// Maximum `offset` of a search: SQLite reads every row that it skips.
pub const SEARCH_OFFSET_MAX: u32 = 100_000;
/// Minimum token budget of a context. A smaller one holds no memory.
pub const TOKEN_BUDGET_MIN: u32 = 64;
/// Maximum token budget of a context.
pub const TOKEN_BUDGET_MAX: u32 = 32_768;
/// Default token budget of a context. Must be at most 5,000.
pub const TOKEN_BUDGET_DEFAULT: u32 = 2_000;
/// Maximum number of memories selected by the query of a context.
pub const CHECKOUT_LIMIT_MAX: u32 = 100;
/// Default number of memories selected by the query of a context.
pub const CHECKOUT_LIMIT_DEFAULT: u32 = 20;
/// Maximum number of memory types that are included in a context regardless of its query.
pub const MANDATORY_TYPES_MAX: usize = 8;
/// Maximum number of memories that are included in a context regardless of its query, by id or by type.
pub const MANDATORY_MAX: usize = 64;
/// Maximum number of events per page of `GET /v1/events`.
pub const EVENTS_LIMIT_MAX: u32 = 1000;
/// Default number of events per page of `GET /v1/events`.
pub const EVENTS_LIMIT_DEFAULT: u32 = 100;
/// Maximum size of a page of `GET /v1/events`, in bytes of log lines. A page ends early at this size, so that the
/// engine does not hold a thousand payloads of 1 MiB in memory. The first event of a page is always complete.
pub const EVENTS_PAGE_BYTES_MAX: usize = 4 << 20;
/// Maximum size of an MCP tool result, in bytes: about 25,000 tokens at just under three bytes per token, which is what
/// clients accept. Larger results are split into parts.
pub const TOOL_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Maximum length of `Idempotency-Key`, in printable ASCII characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// Maximum length of a log line, in bytes without the line feed: the largest body and its envelope.
pub const LINE_BYTES_MAX: usize = BODY_BYTES_MAX + (64 << 10);

/// Maximum number of segments in an item's namespace. Namespaces are short paths for people, not a file system.
pub const ITEM_SEGMENTS_MAX: usize = 8;
/// Maximum length of a namespace segment, in characters: enough for a hash or an address with a word.
pub const ITEM_SEGMENT_CHARS_MAX: usize = 128;
/// Maximum length of an item's key, in characters: enough for a file path.
pub const ITEM_KEY_CHARS_MAX: usize = 512;
/// Maximum number of fields that an item lists for indexing.
pub const ITEM_INDEX_FIELDS_MAX: usize = 32;
/// Maximum length of the path of an indexed field, in characters.
pub const ITEM_FIELD_CHARS_MAX: usize = 256;
/// Maximum number of conditions per filter. Each is evaluated on every candidate.
pub const ITEM_CONDITIONS_MAX: usize = 32;
/// Maximum number of items or namespaces per response.
pub const ITEMS_LIMIT_MAX: u32 = 1000;
/// Default number of items per response.
pub const ITEMS_LIMIT_DEFAULT: u32 = 10;
/// Default number of namespaces, or of versions of one item, per response.
pub const ITEM_LISTS_LIMIT_DEFAULT: u32 = 100;
/// Maximum total size of values or observations per response, in bytes. A response with a thousand values of 1 MiB
/// would exceed an engine's memory. The first value of a response is always complete.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Maximum number of items that one search sorts before it reads their values.
pub const ITEM_CANDIDATES_MAX: usize = 100_000;
/// Maximum number of memory tool files that one command lists, deletes or moves. Moving a file takes two events of a
/// batch.
pub const MEMORY_FILES_MAX: usize = BATCH_EVENTS_MAX / 2;

/// Maximum length of an entity name, in characters.
pub const ENTITY_NAME_CHARS_MAX: usize = 256;
/// Maximum number of entities that a memory names as its subjects.
pub const MEMORY_ENTITIES_MAX: usize = 32;
/// Maximum number of entities, relations or groups of observations per request. Each takes at most two events of a
/// batch.
pub const GRAPH_BATCH_MAX: usize = BATCH_EVENTS_MAX / 2;
/// Maximum length of an observation, in characters. An observation is one fact; longer texts are memories.
pub const OBSERVATION_CHARS_MAX: usize = 4096;
/// Maximum number of observations per entity in one request.
pub const OBSERVATIONS_MAX: usize = 256;
/// Maximum number of entities per response.
pub const GRAPH_NODES_MAX: u32 = 1000;
/// Default number of entities per response.
pub const GRAPH_NODES_DEFAULT: u32 = 100;
/// Maximum number of relations per response. If an entity has more relations, they can be read from its neighbours.
pub const GRAPH_RELATIONS_MAX: usize = 5000;
/// Maximum depth of a graph traversal, in relations. With a greater depth nearly every entity is reachable.
pub const GRAPH_DEPTH_MAX: u32 = 5;
/// Maximum number of words of a query that are searched for entity names.
pub const PHRASE_SOURCE_WORDS_MAX: usize = 256;
/// Maximum length of an entity name that is recognised in a query, in words.
pub const PHRASE_WORDS_MAX: usize = 16;

/// Maximum time to live of an item in another product's store API, in minutes: a hundred years. Items that should be
/// kept longer have no time to live.
pub const STORE_TTL_MINUTES_MAX: f64 = 60.0 * 24.0 * 36_525.0;

/// Default project.
pub const PROJECT_DEFAULT: &str = "default";
/// Default memory type.
pub const MEMORY_TYPE_DEFAULT: &str = "note";
/// Default actor.
pub const ACTOR_DEFAULT: &str = "anonymous";
