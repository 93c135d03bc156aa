//! Templates and what fills them.

use switchhook::terms::{Channel, Code, Encoding, Number, NumberFormat, Place, Template};

use super::{channel, facts, numbers};

fn render(text: &str, encoding: Encoding, channel: &Channel) -> String {
    let numbers = numbers();
    let code = Code::parse("0042").expect("digits");
    let template = Template::parse(text, Place::Request).expect(text);
    template.render(&facts(channel, &numbers, Some(&code)), encoding)
}

#[test]
fn filters() {
    for (text, expected) in [
        ("{callerid}", "+31612345678"),
        ("{callerid|national}", "0612345678"),
        ("{callerid|plus:off}", "31612345678"),
        ("{callerid|digits}", "31612345678"),
        ("{callerid|digits|last:9}", "612345678"),
        ("{callerid|last:99}", "+31612345678"),
        ("{did|e164}", "+31502102544"),
        ("{did|e164|plus:off}", "31502102544"),
        ("{code}", "0042"),
        ("{account|default:none}", "none"),
        ("{account|default:}", ""),
        ("{account|default:a:b}", "a:b"),
        ("{callername|digits|default:no digits}", "no digits"),
        ("{did|default:none}", "0502102544"),
        ("a{did}b{did}c", "a0502102544b0502102544c"),
        ("{\"json\": {did}}", "{\"json\": 0502102544}"),
        ("{ dad } {} {1} {\n", "{ dad } {} {1} {\n"),
    ] {
        assert_eq!(render(text, Encoding::Plain, &channel()), expected, "{text}");
    }
}

#[test]
fn encodings() {
    let channel = Channel { callername: "a/b +é\"\\<&'>\u{7}\u{2028}~-._".to_owned(), ..channel() };
    for (encoding, expected) in [
        (Encoding::Percent, "a%2Fb%20%2B%C3%A9%22%5C%3C%26%27%3E%07%E2%80%A8~-._"),
        (Encoding::Json, "a/b +é\\\"\\\\<&'>\\u0007\\u2028~-._"),
        (Encoding::Xml, "a/b +é&quot;\\&lt;&amp;&#39;&gt;\u{2028}~-._"),
        (Encoding::Header, "a/b +é\"\\<&'>\u{2028}~-._"),
        (Encoding::Plain, "a/b +é\"\\<&'>\u{7}\u{2028}~-._"),
    ] {
        assert_eq!(render("{callername}", encoding, &channel), expected, "{encoding:?}");
    }
}

#[test]
fn what_is_missing_is_the_empty_text() {
    let nobody = Channel::default();
    let all = "{did}{callerid}{callername}{calluniqueid}{callfrom}{callto}{extension}{account}{start}";
    assert_eq!(render(all, Encoding::Percent, &nobody), "");
    assert_eq!(render("{callerid|e164}{callerid|last:3}{callerid|plus:off}", Encoding::Percent, &nobody), "");
}

#[test]
fn number_formats_are_applied_before_filters() {
    let numbers = numbers();
    let channel = Channel { callerid: Number::from_pbx("0612345678"), ..channel() };
    let template =
        Template::parse("{callerid} {callfrom|plus:off} {did}", Place::Request).expect("a template");
    for (format, expected) in [
        (NumberFormat::AsIs, "0612345678 0612345678 0502102544"),
        (NumberFormat::E164, "+31612345678 31612345678 +31502102544"),
        (NumberFormat::PlusOff, "0612345678 0612345678 0502102544"),
    ] {
        let mut facts = facts(&channel, &numbers, None);
        facts.format = format;
        assert_eq!(template.render(&facts, Encoding::Plain), expected);
    }
}

/// All mistakes at once, each with the bytes that it is about.
fn mistakes(text: &str, place: Place) -> Vec<(String, String)> {
    let errors = Template::parse(text, place).err().unwrap_or_default();
    errors.into_iter().map(|e| (text[e.range].to_owned(), e.problem)).collect()
}

#[test]
fn unknown_words() {
    let found = mistakes("x{caller}y{did|e146|last:0}{Code}{did|last:x}", Place::Request);
    let about: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(about, ["caller", "e146", "last:0", "Code", "last:x"]);
    assert!(
        found[0].1.starts_with("unknown variable {caller}; known: code did callerid callername"),
        "{}",
        found[0].1
    );
    assert!(found[1].1.contains("|last:N"));
    let secret = mistakes("{code}", Place::CallerName { code: false });
    assert!(secret[0].1.contains("ivr.secret = false"));
    assert!(mistakes("{code}", Place::CallerName { code: true }).is_empty());
    let unknown = mistakes("{x}", Place::CallerName { code: false });
    assert!(unknown[0].1.contains("known: did "), "{}", unknown[0].1);
}

#[test]
fn where_the_variables_stand() {
    for (text, found) in [
        ("", &[][..]),
        ("abc{}", &[]),
        ("{did}", &["{did}"]),
        ("{\"a\":{did|last:4}}", &["{did|last:4}"]),
        ("é{did}{code} {callerid|default:x}", &["{did}", "{code}", "{callerid|default:x}"]),
    ] {
        let template = Template::parse(text, Place::Request).expect(text);
        let there: Vec<&str> = template.variables().map(|(range, _)| &text[range]).collect();
        assert_eq!(there, found, "{text}");
    }
}

#[test]
fn what_was_meant_to_be_a_variable() {
    for (text, meant) in [
        ("{\"a\":\"{ did }\"}", "{ did }"),
        ("a{{did}}b", "{{did}}"),
        ("{{ Did }}", "{{ Did }}"),
        ("{{did}", "{{did}"),
        ("{ did|e164 }", "{ did|e164 }"),
        ("{\"a\":\"{did\"}", "{did"),
        ("x {CODE", "{CODE"),
    ] {
        let found = mistakes(text, Place::Request);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].0, meant, "{text}");
    }
    for text in [
        "{\"did\":{\"code\":[{}]}}",
        "{ \"did\": \"x\" }",
        "{\n  \"did\": {\"a\": {\n}}}",
        "query { account { name } }",
        "{ color: red }",
        "{1}{}{ }{{}}",
    ] {
        assert!(mistakes(text, Place::Request).is_empty(), "{text}");
    }
}

#[test]
fn a_code_is_masked_where_it_stands_and_nowhere_else() {
    let numbers = numbers();
    let channel = channel();
    let code = Code::parse("0").expect("digits");
    let template =
        Template::parse("{code}-{code|last:9}-{code|digits}-{did}", Place::Request).expect("a template");
    let shown = template.render_shown(&facts(&channel, &numbers, Some(&code)), Encoding::Percent, false);
    assert_eq!(shown, "****-****-****-0502102544");
    assert_eq!(
        template.render_shown(&facts(&channel, &numbers, None), Encoding::Percent, false),
        "----0502102544".replacen('-', "", 1)
    );
}
