//! Detectors of tokens in the published formats of their issuers: a prefix, an alphabet, and a length. Each widely used
//! vendor has its own row; the other rows combine several vendors.

use std::ops::Range;

use super::boundary::{alone, before, behind, is_word};
use super::checks::{base64, base64url};
use super::detector::Detector;
use super::secret::row;
use super::value::{form, is_row, mixed, mixed_form, random};
use crate::access::ApiKey;

/// Order matters: of several detectors that match, the first one is named in the finding.
pub(super) const DETECTORS: &[Detector] = &[
    row(
        "azure-identifiable-key",
        "Key of Azure with the marker of its service: OpenAI, Cognitive Services, Storage, Cosmos, Search, Functions, Service Bus, Event Hubs, IoT, API Management",
        r"JQQJ9|\+ASt|ACDb|\+ABa|\+AMC|APIM|AIoT|\+ASb|\+AEh|\+ARm|Az(?:Se|Fu|Ca|Ba)",
        r"(?:[A-Za-z0-9]{52}JQQJ9[9DH][A-Za-z0-9]{26}|[A-Za-z0-9+/]{76}(?:\+ASt|ACDb|\+ABa|\+AMC|APIM)[A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{33}(?:AIoT|\+ASb|\+AEh|\+ARm)[A-Za-z0-9+/]{6}=|[A-Za-z0-9_-]{42,44}Az(?:Se|Fu|Ca|Ba)[A-Za-z0-9_-]{5,8}={0,2})",
        whole,
    ),
    row(
        "azure-client-secret",
        "Client secret of an application in Microsoft Entra",
        "[0-9]Q~",
        r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
        entra,
    ),
    row(
        "bedrock-key",
        "Key of Amazon Bedrock, long or short lived",
        "ABSK|bedrock-api-key-",
        r"(?:ABSK[A-Za-z0-9+/]{80,300}={0,2}|bedrock-api-key-[A-Za-z0-9+/_-]{24,2000}={0,2})",
        form,
    ),
    row(
        "discord-token",
        "Token of a Discord bot: the first part is its number in base64",
        r"[A-Za-z0-9]\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{10}",
        r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,45}",
        discord,
    ),
    row(
        "webhook-url",
        "URL of a webhook that accepts requests without other credentials: Discord, Microsoft Teams, Zapier, Make, Google Chat, PagerDuty",
        r"(?i)webhook|hooks\.zapier|chat\.googleapis|hook\.[a-z0-9]{2,4}\.make|logic\.azure",
        r"(?i)(?:discord(?:app)?\.com/api(?:/v[0-9]{1,2})?/webhooks/[0-9]{16,20}/[a-z0-9_-]{60,80}|webhook\.office\.com/webhook[a-z0-9]{0,4}/[0-9a-z-]{36}@[0-9a-z-]{36}/incomingwebhook/[0-9a-z]{32}/[0-9a-z-]{36}|outlook\.office(?:365)?\.com/webhook/[0-9a-f@-]{36,80}/incomingwebhook/[0-9a-f]{32}/[0-9a-f-]{36}|hooks\.zapier\.com/hooks/catch/[a-z0-9]{4,12}/[a-z0-9]{4,12}|hook\.[a-z0-9]{2,4}\.make\.com/[a-z0-9]{24,40}|chat\.googleapis\.com/v1/spaces/[a-z0-9_-]{8,20}/messages\?[^\s\x22']{0,40}key=[a-z0-9_&=%-]{30,200}|logic\.azure\.com(?::443)?/workflows/[0-9a-f]{32}/[^\s\x22']{10,200}sig=[a-z0-9_%-]{20,60})",
        form,
    ),
    row("memory-engine-key", "Key of a memory engine", "mek_", r"mek_[a-z2-7]{8}_[a-z2-7]{58}", whole_key),
    row("twilio-key", "Key of Twilio", r"\bSK[0-9a-f]{8}", r"SK[0-9a-fA-F]{32}", |text, found| {
        alone(text, found).and_then(|found| mixed_form(text, found))
    }),
    row(
        "mail-service-key",
        "Key of a service that sends mail: Mailgun, Mailchimp, Brevo, Mandrill, Resend, Postmark",
        r"(?:pub)?key-[0-9a-f]|-us[0-9]|xkeysib-|xsmtpsib-|\bmd-|\bre_|[0-9a-f]-[0-9a-f]{8}-[0-9a-f]{8}\b",
        r"(?:(?:pub)?key-[0-9a-f]{32}|[0-9a-f]{32}-us[0-9]{1,2}|xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}|xsmtpsib-[a-f0-9]{64}-[A-Za-z0-9]{16}|md-[A-Za-z0-9_-]{22}|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}|[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8})",
        whole,
    ),
    row(
        "onepassword-key",
        "Secret key or service account token of 1Password",
        r"A3-[A-Z0-9]{6}-|ops_eyJ",
        r"(?:A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}|ops_eyJ[A-Za-z0-9+/_-]{100,1000}={0,3})",
        whole,
    ),
    row(
        "square-token",
        "Token or secret of Square",
        r"EAAA|sq0[a-z]{3}-",
        r"(?:EAAA[A-Za-z0-9+=_-]{56,60}|sq0[a-z]{3}-[0-9A-Za-z_-]{22,43})",
        whole,
    ),
    row(
        "facebook-token",
        "Access token of Facebook, of a user, a page or an app",
        r"EAA[A-Z]|[0-9](?:\||%7C)[0-9A-Za-z_-]{20}",
        r"(?:EAA[A-Za-z][A-Za-z0-9]{90,300}|[0-9]{15,16}(?:\||%7C)[0-9A-Za-z_-]{27,40})",
        whole,
    ),
    row(
        "monitoring-key",
        "Key or token of a service for monitoring, logs and errors: Dynatrace, Sentry, Grafana, New Relic, PostHog, Honeycomb, Axiom, Rootly",
        r"dt0[a-z][0-9]{2}\.|sntr[a-z]{2}_|eyJrIjoi|NR(?:JS|II|RA|BR)-|-NRMA|ph[xs]_|hc[abio][a-z]{2}_|xa[ap]t-|rootly_",
        r"(?:dt0[a-zA-Z][0-9]{2}\.[A-Z0-9a-z]{8,24}\.[A-Z0-9a-z]{64}|sntrys_eyJ[A-Za-z0-9=+/_-]{50,400}|sntry[ua]_[a-f0-9]{64}|eyJrIjoi[A-Za-z0-9]{50,400}={0,3}|NRJS-[a-f0-9]{19}|NRII-[A-Za-z0-9_-]{25,32}|NRBR-[a-f0-9]{19}|(?:eu01xx|AA)[a-f0-9]{30,42}-NRMA|NRRA-[a-f0-9]{42}|ph[xs]_[A-Za-z0-9_]{30,60}|hc[abio](?:ik|xk)_[a-z0-9]{52,64}|xa[ap]t-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|rootly_[a-f0-9]{64})",
        whole,
    ),
    row(
        "model-provider-key",
        "Key of a provider of models: Perplexity, NVIDIA, LangSmith, Langfuse, Fireworks, Cerebras, Together, Tavily, Pinecone, Weights & Biases, ElevenLabs, Voyage, Jina, Firecrawl",
        r"pplx-|nvapi-|lsv2_|[sp]k-lf-|\bfw_|\bcsk-|tgp_v1|tvly-|pcsk_|wandb_v1|\bsk_|\bpa-|\bjina_|\bfc-|voyage-",
        r"(?:pplx-[A-Za-z0-9]{40,56}|nvapi-[A-Za-z0-9_-]{60,70}|lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|[sp]k-lf-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|fw_[A-Za-z0-9]{22,24}|csk-[a-z0-9]{48}|tgp_v1_[A-Za-z0-9_-]{43}|tvly-(?:dev-|prod-)?[A-Za-z0-9_-]{20,60}|pcsk_[A-Za-z0-9]{5,6}_[A-Za-z0-9]{60,70}|wandb_v1_[A-Za-z0-9_]{60,90}|sk_[a-f0-9]{48}|pa-[A-Za-z0-9_-]{43}|jina_[A-Za-z0-9_-]{60}|fc-[a-f0-9]{32})",
        whole,
    ),
    row(
        "cloud-token",
        "Token or key of a cloud or a host: Alibaba, Tencent, IBM, Yandex, Fly.io, Heroku, Netlify, Vercel, Supabase, Neon, PlanetScale, Cloudflare, Scaleway, OpenShift, Tailscale, Railway, Render, Aiven, ClickHouse, Prefect, Confluent",
        r"\bLTAI|\bAKID|AQVN|\bYCA|\bt1\.|f(?:o1|m1[ar]|m2)_|HRKU-|nf[pcoubk][_]|\bvc[kpiar]_|sb[ps]_|sb_secret|\bnapi_|pscale_|v1\.0-[a-f0-9]|sha256~|tskey-|\brnd_|\bAVNS_|\b4b1d|pn[ubt]_|scw[a-z]{2}-|\bSCW[A-Z0-9]|\bcf[uak]t?_",
        r"(?:LTAI[A-Za-z0-9]{12,26}|AKID[A-Za-z0-9]{32}|AQVN[A-Za-z0-9_-]{35,38}|YCAJ[A-Za-z0-9_-]{21}|YC[A-Z][A-Za-z0-9_-]{37}|t1\.[A-Z0-9a-z_-]{4,300}={0,2}\.[A-Z0-9a-z_-]{86}={0,2}|fo1_[A-Za-z0-9_-]{43}|fm(?:1[ar]|2)_[A-Za-z0-9+/]{80,600}={0,3}|HRKU-(?:AA[0-9A-Za-z_-]{58}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})|nf[pcoubk]_[A-Za-z0-9_]{36}|vc[kpiar]_[A-Za-z0-9]{24,60}|sbp_(?:oauth_)?[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{22,40}|napi_[a-z0-9]{48,64}|pscale_(?:pw|tkn|oauth|api)_[A-Za-z0-9=._-]{32,64}|v1\.0-[a-f0-9]{24}-[a-f0-9]{146}|sha256~[A-Za-z0-9_-]{43}|tskey-[a-z]{2,10}-[A-Za-z0-9]{6,20}-[A-Za-z0-9]{20,40}|rnd_[A-Za-z0-9]{28,32}|AVNS_[A-Za-z0-9_-]{19}|4b1d[A-Za-z0-9]{38}|pn[ubt]_[A-Za-z0-9]{36}|SCW[A-Z0-9]{17}|cf(?:k|ut|at)_[A-Za-z0-9]{40,60})",
        whole,
    ),
    row(
        "developer-token",
        "Token of a tool for developers: RubyGems, NuGet, crates.io, Clojars, Artifactory, SonarQube, Sourcegraph, Buildkite, CircleCI, Travis, Harness, Octopus, Doppler (all but personal), Infisical, Notion, Figma, Airtable, Bitbucket, Docker, Snyk, Codecov, Infracost, ReadMe, Contentful, Typeform, Prefect, Deno, JetBrains",
        r"rubygems_|\boy2[a-p]|\bcio[A-Za-z0-9]|CLOJARS_|AKCp|cmVmd|sq[puab]_|sg[pdmae]_|slk_|sl[dp]k_|bk[uapr][a-z]?_|CCI(?:PAT|PRJ)_|\b[ps]at\.[A-Za-z0-9_-]{22}\.|API-[A-Z0-9]{20}|dp\.[a-z]{2,5}\.|\bst\.[0-9a-f]{8}-|ntn_|secret_[A-Za-z0-9]{20}|fig[doru]_|\bpat[A-Za-z0-9]{14}\.|AT(?:CTT|BB)|dckr_oat_|snyk_|ico-[A-Za-z0-9]|rdme_|CFPAT-|tfp_|dd[opw]_[A-Za-z0-9]|perm:|\bptr_|glo[a-z]_|ghx_|jfrt@|\bMDCxx|dnkey-",
        r"(?:rubygems_[a-f0-9]{48}|oy2[a-p][a-z0-9]{42}|cio[A-Za-z0-9]{32}|CLOJARS_[a-z0-9]{60}|AKCp[A-Za-z0-9]{60,70}|cmVmd[A-Za-z0-9]{59}|sq[puab]_[A-Za-z0-9]{40}|sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}|sg[dmae]_[A-Za-z0-9_]{32,140}|slk_[a-f0-9]{64}|bk[uapr][a-z]?_[a-z0-9]{40}|CCI(?:PAT|PRJ)_[A-Za-z0-9]{18,26}_[a-fA-F0-9]{40}|[ps]at\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}|API-[A-Z0-9]{25,32}|dp\.(?:st|ct|sa|scim|audit|said)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}|st\.[0-9a-f]{8}-[0-9a-f-]{27}\.[0-9a-f]{32}\.[0-9a-f]{32}|st\.[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}|ntn_[0-9]{11}[A-Za-z0-9]{32,36}|secret_[A-Za-z0-9]{43}|fig[doru]_[A-Za-z0-9_-]{40,60}|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|ATCTT3[A-Za-z0-9_=-]{60,400}|ATBB[A-Za-z0-9_=.-]{24,40}|dckr_oat_[A-Za-z0-9_-]{27,32}|snyk_(?:uat|sat)\.[A-Za-z0-9]{8}\.[A-Za-z0-9._-]{40,200}|ico-[A-Za-z0-9]{32}|rdme_[a-z0-9]{70}|CFPAT-[A-Za-z0-9_-]{43}|tfp_[A-Za-z0-9_.=-]{40,60}|dd[opw]_[A-Za-z0-9]{36}|perm:[A-Za-z0-9=+/_-]{10,60}\.[A-Za-z0-9=+/_-]{2,40}\.[A-Za-z0-9]{20,60}|ptr_[A-Za-z0-9/_+-]{40,60}=?|dnkey-[A-Za-z0-9=_-]{26}-[A-Za-z0-9=_-]{52})",
        whole,
    ),
    row(
        "shop-and-payment-key",
        "Key or token of a shop or a payment service: Shopify, Adyen, Braintree, PayPal, Razorpay, Flutterwave, GoCardless, EasyPost, Duffel, Shippo, Lob, Plaid, Checkout, Mollie",
        r"shp[a-z]{2}_|access_token\x24|\brzp_|FLWSECK|\b(?:live|test)_|EZ[AT]K|duffel_|shippo_|access-(?:sandbox|development|production)-|AQE[a-z0-9]|\bsk_(?:sbox_)?[a-z0-9]{26}|\bpi_",
        r"(?:shp(?:tka|ua)_[a-fA-F0-9]{32}|access_token\x24(?:production|sandbox)\x24[0-9a-z]{16}\x24[0-9a-f]{32}|rzp_live_[A-Za-z0-9]{14}|FLWSECK(?:_TEST)?-[A-Za-z0-9]{12,40}-X|(?:live|test)_(?:pub_)?[a-f0-9]{31,35}|live_[A-Za-z0-9_=-]{40}|EZ[AT]K[A-Za-z0-9]{54}|duffel_(?:test|live)_[A-Za-z0-9_=-]{43}|shippo_(?:live|test)_[a-fA-F0-9]{40}|access-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|AQE[a-z0-9][A-Za-z0-9+/=_-]{60,200}-[A-Za-z0-9+/=_-]{40,50}-[A-Za-z0-9{}()^&;:<>,.?~\x24|!@#%*-]{10,20}|sk_(?:sbox_)?[a-z2-7]{26}[a-z2-7*#=$]|pi_[A-Za-z0-9]{24}_secret_[A-Za-z0-9]{25})",
        whole,
    ),
    row(
        "other-vendor-token",
        "Token with the prefix of one of many others: AppSync, Adafruit, Adobe, Apify, Authress, Cloudinary, Endor, Frame.io, HubSpot, Intra 42, Klaviyo, LaunchDarkly, Mapbox, MaxMind, Nightfall, Onfido, PubNub, Ramp, Salad, Scalingo, SettleMint, Twitter, Voiceflow, Zoho",
        r"AAAAAAAAAAAAAA|\baio_|p8e-|apify_api_|(?:sc|ext|scauth|authress)_|cloudinary://|endr\+|fio-u-|\bpat-[a-z]{2}[0-9]-|s-s4t2|(?:api|sdk|mob)-[0-9a-z]{8}-|\bsk\.eyJ|_mmk|\bNF-|api_(?:live|sandbox)|salad_cloud_|spu-|ramp_sec_|pgar_|(?:sec|sub|pub)-c-|\bbb_(?:ma|pr)_|\bda2-|BBDC-|tk-us-|sm_[aps]at_|\bVF\.|1000\.[0-9a-f]{32}|\bpk_[0-9a-f]{34}",
        r"(?:A{18,24}[A-Za-z0-9%]{80,120}|aio_[A-Za-z]{4}[0-9]{2}[A-Za-z0-9]{22}|p8e-[A-Za-z0-9_-]{32}|apify_api_[A-Za-z0-9_-]{36}|(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}|cloudinary://[0-9]{12,18}:[A-Za-z0-9_-]{20,40}@|endr\+[A-Za-z0-9-]{16}|fio-u-[A-Za-z0-9=_-]{64}|pat-[a-z]{2}[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|s-s4t2(?:ud|af)-[a-f0-9]{64}|(?:api|sdk|mob)-[0-9a-z]{8}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{12}|sk\.eyJ[A-Za-z0-9_-]{50,200}\.[A-Za-z0-9_-]{22}|[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk|NF-[A-Za-z0-9]{32}|api_(?:live|sandbox)(?:_[a-z]{2})?\.[A-Za-z0-9_-]{11}\.[A-Za-z0-9_-]{32}|salad_cloud_[A-Za-z0-9_]{1,20}_[A-Za-z0-9]{30,60}|spu-[0-9a-f]{32}|ramp_sec_[A-Za-z0-9]{40,60}|pgar_[A-Za-z0-9]{27}|(?:sec-c-[A-Za-z0-9]{40,60}|(?:sub|pub)-c-[0-9a-z]{8}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{12})|bb_(?:ma|pr)_[a-f0-9]{30}|da2-[a-z0-9]{26}|BBDC-[A-Za-z0-9+/@_-]{40,50}|tk-us-[A-Za-z0-9_-]{48}|sm_[aps]at_[A-Za-z0-9]{16}|VF\.(?:DM\.)?[A-Za-z0-9]{24}\.[A-Za-z0-9]{16}|1000\.[0-9a-f]{32}\.[0-9a-f]{32}|pk_[0-9a-f]{34})",
        whole,
    ),
];

/// Maximum length of tokens that must end where their format ends. In longer formats the length is a limit of this
/// implementation, not of the issuer.
const FIXED_CHARS_MAX: usize = 100;

/// Accepts a token with letters and digits that is not part of a longer word, path, file name or base64 text.
fn whole(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let part = before(text, &found).is_some_and(|byte| is_word(byte) || b"./+".contains(&byte));
    let goes_on = found.len() <= FIXED_CHARS_MAX
        && behind(text, &found).is_some_and(|byte| byte.is_ascii_alphanumeric());
    (!part && !goes_on).then(|| mixed_form(text, found))?
}

/// Accepts a key of an engine whose checksum fits, as GitHub's tokens are.
fn whole_key(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let key = std::str::from_utf8(&text[found.clone()]).ok()?;
    ApiKey::parse(key).is_ok().then_some(found)
}

fn entra(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let joined = |byte: u8| is_word(byte) || b"~.-".contains(&byte);
    let whole = !before(text, &found).is_some_and(joined) && !behind(text, &found).is_some_and(is_word);
    (whole && !is_row(&text[found.clone()])).then(|| random(text, found, 3.0))?
}

/// Accepts a Discord bot token: its first part encodes the bot's numeric id, or all of its parts have letters of both
/// cases and the token has digits.
fn discord(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let token = &text[found.clone()];
    let number = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    let decodes =
        base64url(number).or_else(|| base64(number)).is_some_and(|said| said.iter().all(u8::is_ascii_digit));
    let capital =
        |part: &[u8]| part.iter().any(u8::is_ascii_uppercase) && part.iter().any(u8::is_ascii_lowercase);
    let random = token.split(|byte| *byte == b'.').all(capital) && mixed(token);
    (decodes || random).then(|| form(text, found))?
}
