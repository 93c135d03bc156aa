//! Exchanges as dialogues: what the world says, and everything that is seen of the exchange.

use switchhook::terms::Webhook;
use switchhook::webhook::HopErrorKind::{BadResponse, Connect, Tls};
use switchhook::webhook::Policy;

use super::world::Say::{self, Addresses, Fails, NoName, Nothing, Responds};
use super::world::{World, short};
use super::{template, webhook};

struct Dialogue {
    what: &'static str,
    change: fn(&mut Webhook),
    says: &'static [Say],
    seen: &'static [&'static str],
    end: (&'static str, Option<u16>),
}

const IP: Say = Addresses(&["192.0.2.1", "2001:db8::1"]);
const ACK: Say = Responds(200, &[], "status=ACK");

const DIALOGUES: &[Dialogue] = &[
    Dialogue {
        what: "the usual question",
        change: |_| {},
        says: &[IP, ACK],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"192.0.2.1\", \"2001:db8::1\"]",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "response 200",
        ],
        end: ("ACK", Some(200)),
    },
    Dialogue {
        what: "three redirects are followed, the name is looked up once",
        change: |_| {},
        says: &[
            IP,
            Responds(301, &[("location", "/a")], ""),
            Responds(302, &[("location", "b?x=1#part")], ""),
            Responds(307, &[("location", "http://user:pass@CRM:80/c d")], ""),
            ACK,
        ],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"192.0.2.1\", \"2001:db8::1\"]",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "response 301",
            "Redirect GET http://crm/a",
            "hop http://crm [192.0.2.1, 2001:db8::1] /a until 2s",
            "response 302",
            "Redirect GET http://crm/b?x=1",
            "hop http://crm [192.0.2.1, 2001:db8::1] /b?x=1 until 2s",
            "response 307",
            "Redirect GET http://crm/c%20d",
            "hop http://crm [192.0.2.1, 2001:db8::1] /c%20d until 2s",
            "response 200",
        ],
        end: ("ACK", Some(200)),
    },
    Dialogue {
        what: "a name that is not known, tried again",
        change: |w| w.retries = 1,
        says: &[NoName, IP, ACK],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "failed dns",
            "Retry GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"192.0.2.1\", \"2001:db8::1\"]",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "response 200",
        ],
        end: ("ACK", Some(200)),
    },
    Dialogue {
        what: "retries only while nothing was sent",
        change: |w| w.retries = 5,
        says: &[IP, Fails(Connect, false), Fails(Tls, false), Fails(BadResponse, true)],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"192.0.2.1\", \"2001:db8::1\"]",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "failed connect",
            "Retry GET http://crm/r?a=1",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "failed tls",
            "Retry GET http://crm/r?a=1",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 2s",
            "failed bad_answer",
        ],
        end: ("bad_answer", None),
    },
    Dialogue {
        what: "the fallback has the rest of the time, and retries of its own",
        change: |w| {
            w.retries = 1;
            w.fallback_url = Some(template("https://backup:8443/f"));
        },
        says: &[IP, Nothing, Addresses(&["192.0.2.9"]), Fails(Connect, false), Fails(Connect, false)],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"192.0.2.1\", \"2001:db8::1\"]",
            "hop http://crm [192.0.2.1, 2001:db8::1] /r?a=1 until 1.2s",
            "failed timeout",
            "Fallback GET https://backup:8443/f",
            "resolve backup",
            "resolved [\"192.0.2.9\"]",
            "hop https://backup:8443 [192.0.2.9] /f until 2s",
            "failed connect",
            "Retry GET https://backup:8443/f",
            "hop https://backup:8443 [192.0.2.9] /f until 2s",
            "failed connect",
        ],
        end: ("connect", None),
    },
    Dialogue {
        what: "neither answers in time",
        change: |w| w.fallback_url = Some(template("http://192.0.2.9")),
        says: &[Nothing, Nothing],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "failed timeout",
            "Fallback GET http://192.0.2.9/",
            "hop http://192.0.2.9 [192.0.2.9] / until 2s",
            "failed timeout",
        ],
        end: ("timeout", None),
    },
    Dialogue {
        what: "addresses that are refused are left out",
        change: |_| {},
        says: &[Addresses(&["169.254.169.254", "192.0.2.1"]), ACK],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"169.254.169.254 is the metadata service of a cloud: never called\", \"192.0.2.1\"]",
            "hop http://crm [192.0.2.1] /r?a=1 until 2s",
            "response 200",
        ],
        end: ("ACK", Some(200)),
    },
    Dialogue {
        what: "a name with refused addresses alone is not tried again",
        change: |w| w.retries = 3,
        says: &[Addresses(&["169.254.169.254", "::ffff:169.254.169.254"])],
        seen: &[
            "First GET http://crm/r?a=1",
            "resolve crm",
            "resolved [\"169.254.169.254 is the metadata service of a cloud: never called\", \
             \"::ffff:169.254.169.254 holds 169.254.169.254, which is the metadata service of a cloud: never called\"]",
            "failed blocked",
        ],
        end: ("blocked", None),
    },
    Dialogue {
        what: "an address in the URL is checked too, and has a fallback",
        change: |w| {
            w.url = template("http://0xa9fea9fe/latest");
            w.fallback_url = Some(template("http://[fd00:ec2::254]/"));
        },
        says: &[],
        seen: &[
            "First GET http://169.254.169.254/latest",
            "failed blocked",
            "Fallback GET http://[fd00:ec2::254]/",
            "failed blocked",
        ],
        end: ("blocked", None),
    },
    Dialogue {
        what: "a name without addresses",
        change: |_| {},
        says: &[Addresses(&[])],
        seen: &["First GET http://crm/r?a=1", "resolve crm", "failed dns"],
        end: ("dns", None),
    },
];

#[test]
fn dialogues() {
    for Dialogue { what, change, says, seen, end } in DIALOGUES {
        let mut definition = webhook("http://crm/r?a=1");
        change(&mut definition);
        let mut world = World::new(definition, None, Policy::default());
        let result = world.play(says);
        assert_eq!(world.seen, *seen, "{what}");
        assert_eq!(short(&result), (end.0.to_owned(), end.1), "{what}");
    }
}
