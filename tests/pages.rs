//! Pages over plain HTTP: who sees what, where forms may come from, and what is sent with each page.

use hyper::Method;
use tessera_tests::{Api, Reply, TestApp};
use wallet_api::pages::{For, PAGES};

const ID: &str = "00000000-0000-8000-8000-000000000001";

/// A browser's request, from nobody.
async fn ask(api: &Api, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let stranger = api.with_key("");
    let mut headers = headers.to_vec();
    if method == "POST" {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
    }
    stranger.send(method.parse().unwrap(), path, &headers, "".into()).await.unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn html(reply: &Reply) -> String {
    assert_eq!(header(reply, "content-type"), "text/html; charset=utf-8");
    String::from_utf8(reply.bytes.to_vec()).unwrap()
}

fn address(pattern: &str) -> String {
    pattern.replace("{tenant}", "acme").replace("{purpose}", "marketing").replace("{id}", ID)
}

#[tokio::test]
async fn every_page_leads_strangers_to_the_sign_in_and_takes_no_form_from_elsewhere() {
    let app = TestApp::start();
    let (api, origin) = (app.api(), app.origin());
    for (method, pattern, whose) in PAGES {
        let (path, at) = (address(pattern), format!("{method} {pattern}"));
        let reply = ask(&api, method, &path, &[("origin", &origin)]).await;
        match whose {
            For::Me => {
                assert_eq!(reply.status, 303, "{at}");
                assert!(header(&reply, "location").starts_with("/my/acme/sign-in"), "{at}");
            }
            For::Staff => {
                assert_eq!(reply.status, 303, "{at}");
                assert!(header(&reply, "location").starts_with("/staff/acme/sign-in"), "{at}");
            }
            For::All => assert_ne!(reply.status, 303, "{at}"),
        }
        assert!(reply.status < 500 || pattern.ends_with("/sign-up"), "{at}: {}", reply.status);
        if *method == "POST" {
            for elsewhere in [None, Some("null"), Some("https://evil.test"), Some("http://localhost.evil.test")] {
                let headers: Vec<(&str, &str)> = elsewhere.map(|origin| ("origin", origin)).into_iter().collect();
                let reply = ask(&api, method, &path, &headers).await;
                assert_eq!(reply.status, 403, "{at} from {elsewhere:?}");
                assert!(html(&reply).contains("not come from our pages"), "{at}");
            }
        }
    }
}

/// The list that the test above goes through is what is served: each address answers another method with what it has.
#[tokio::test]
async fn a_method_that_a_page_has_not_is_told_what_it_has() {
    let app = TestApp::start();
    let origin = app.origin();
    for (_, pattern, _) in PAGES {
        let reply = app.api().send(Method::PUT, &address(pattern), &[("origin", &origin)], "".into()).await.unwrap();
        assert_eq!(reply.status, 405, "{pattern}");
        let own = PAGES.iter().filter(|(_, other, _)| other == pattern).map(|(method, ..)| *method);
        assert_eq!(header(&reply, "allow"), own.collect::<Vec<_>>().join(", "), "{pattern}");
    }
}

#[tokio::test]
async fn a_page_loads_nothing_from_elsewhere_and_is_kept_by_nobody() {
    let app = TestApp::start();
    let reply = ask(&app.api(), "GET", "/my/acme/sign-in", &[]).await;
    let text = html(&reply);
    assert_eq!(
        header(&reply, "content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'"
    );
    for (name, value) in
        [("cache-control", "no-store"), ("referrer-policy", "same-origin"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(header(&reply, name), value);
    }
    for inline in ["<style", " style=", "onclick", "<script>", "http://", "https://"] {
        assert!(!text.contains(inline), "{inline}");
    }
    for file in text.split('"').filter(|part| part.starts_with("/pages/")) {
        let reply = ask(&app.api(), "GET", file, &[]).await;
        assert_eq!(reply.status, 200, "{file}");
        assert!(header(&reply, "cache-control").contains("immutable"), "{file}");
    }
}

#[tokio::test]
async fn the_language_is_the_one_chosen_then_the_browsers() {
    let app = TestApp::start();
    let lang = |reply: &Reply| header(reply, "content-language").to_owned();
    let page = "/my/acme/sign-up";
    assert_eq!(lang(&ask(&app.api().in_lang("it"), "GET", page, &[]).await), "it");
    let chosen = ask(&app.api(), "GET", &format!("{page}?lang=it"), &[]).await;
    assert_eq!(lang(&chosen), "it");
    let cookie = header(&chosen, "set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(cookie, "__Host-tessera-lang=it");
    assert_eq!(lang(&ask(&app.api(), "GET", page, &[("cookie", &cookie)]).await), "it");
    let refused = ask(&app.api(), "GET", "/my/nobody/sign-in", &[("cookie", &cookie)]).await;
    assert_eq!(refused.status, 404);
    assert!(html(&refused).contains("Qui non c&#x27;è nulla"), "refusals too");
}

/// The strict cookie stays behind when somebody comes from another site: the page is asked for again, by itself.
#[tokio::test]
async fn whoever_comes_from_another_site_is_led_through_once() {
    let app = TestApp::start();
    let pay = format!("/my/acme/pay?merchant={ID}&amount=100");
    let reply = ask(&app.api(), "GET", &pay, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(reply.status, 200);
    assert!(html(&reply).contains(r#"<meta http-equiv="refresh" content="0">"#));
    let reply = ask(&app.api(), "GET", &pay, &[("sec-fetch-site", "same-origin")]).await;
    let next = "%2Fmy%2Facme%2Fpay%3Fmerchant%3D00000000-0000-8000-8000-000000000001%26amount%3D100";
    assert_eq!((reply.status, header(&reply, "location")), (303, format!("/my/acme/sign-in?next={next}").as_str()));
}

/// T27: after the sign-in it goes on to one of this tenant's own pages, or to the first.
#[tokio::test]
async fn t27_the_sign_in_leads_nowhere_but_to_pages_of_its_tenant() {
    let app = TestApp::start();
    for (next, to) in [
        ("/my/acme/devices", "/my/acme/devices"),
        ("/my/acme/pay?merchant=a&amount=1", "/my/acme/pay?merchant=a&amp;amount=1"),
        ("https://evil.test/", "/my/acme"),
        ("//evil.test", "/my/acme"),
        ("/my/acme//evil.test", "/my/acme"),
        ("/my/other/devices", "/my/acme"),
        ("/my/acme/\\evil", "/my/acme"),
        ("/my/acme/x\r\nset-cookie:a=b", "/my/acme"),
    ] {
        let query: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let text = html(&ask(&app.api(), "GET", &format!("/my/acme/sign-in?next={query}"), &[]).await);
        let text = text.replace("&#x2f;", "/");
        assert!(text.contains(&format!(r#"name="next" value="{to}""#)), "{next}: {text}");
    }
}

/// The cookie is for pages alone, so no other site can have a browser use the API with it.
#[tokio::test]
async fn the_api_knows_no_cookie() {
    let app = TestApp::start();
    let cookie = format!("__Host-tessera-acme={}", app.api().key);
    let reply = ask(&app.api(), "GET", "/v1/me/sessions", &[("cookie", &cookie)]).await;
    reply.expect_problem(401, "unauthenticated");
    let reply = ask(&app.api(), "GET", "/my/acme", &[("cookie", &cookie)]).await;
    assert_eq!(reply.status, 303, "and a machine's key is no session");
}

#[tokio::test]
async fn t55_what_is_typed_into_a_page_is_text_and_nothing_else() {
    let app = TestApp::start();
    let (api, origin) = (app.api().with_key(""), app.origin());
    let headers = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let body = "email=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let reply = api.send(Method::POST, "/my/acme/sign-up", &headers, body.into()).await.unwrap();
    assert_eq!(reply.status, 422);
    let text = html(&reply);
    assert!(!text.contains("<script>") && text.contains("&lt;script&gt;"), "{text}");
}
