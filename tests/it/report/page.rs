//! The page in a real browser, without network: it renders, says nothing on the console, and its numbers are those of the JSON.

use super::browser::{Browser, Element, elements};
use crate::support::{Test, needs, stage};
use serde_json::Value;

/// A run with all that may go wrong in a page: names and logs that look like markup, a failure, a stage that nobody waits for.
fn hostile() -> Test {
    let workloads = "\
[[stage]]
name = 'many'
kind = 'verify'
[[stage.tests]]
name = '</script><script>console.error(1)</script>'
run = 'true'
[[stage.tests]]
name = '<img src=x onerror=alert(1)> & \"quoted\"'
run = 'true'
";
    Test::new([
        "description = '<b>bold</b>'\n[vars]\nword = '</script><!-- <script>'\n".to_owned(),
        stage(
            "made",
            "outputs = { file = 'file' }\nshow = ['file']",
            "printf '| a | b |\\n|--|--|\\n| </table> | <u>1 |\\n' > ${self.out}/file",
        ),
        workloads.to_owned(),
        stage(
            "broken",
            "needs = ['made', 'many']",
            "echo '</script><script>document.title=1</script><img src=http://192.0.2.1/x>'; echo '${word}'; echo '<!--'; exit 4",
        ),
        stage("behind", "needs = ['broken']", "true"),
    ])
}

fn pages(test: &Test) -> (Value, String) {
    let _ = test.cmd("report -o page.html").ok().silent();
    (test.cmd("report --format json").ok().json(), test.read("page.html"))
}

#[test]
fn it_renders_and_its_numbers_are_those_of_the_json() {
    let Some(browser) = Browser::find() else { return };
    let test = hostile();
    let _ = test.run("").code(1);
    let (json, _) = pages(&test);
    let page = browser.open(&test.path("page.html"), &[]);
    assert_eq!(page.console, Vec::<String>::new());
    // Set by the script when it has come to its end.
    assert!(page.dom.contains(&format!("data-ready={}", json["run"]["id"])), "{}", page.dom);

    let value = |element: &Element| element.attribute("value").map(|value| value.parse::<f64>().unwrap());
    for (key, name) in [("wall", "wall"), ("cpu", "cpu"), ("peak", "peak-memory")] {
        let tile =
            elements(&page.dom, "dd").into_iter().find(|tile| tile.attribute("data-key").as_deref() == Some(key));
        let data = elements(&tile.unwrap().content, "data").remove(0);
        assert_near(value(&data), json["run"][name].as_f64(), key);
    }
    let rows = elements(&page.dom, "tr");
    for stage in json["stages"].as_array().unwrap() {
        let name = stage["name"].as_str().unwrap();
        let row = rows.iter().find(|row| row.attribute("data-stage").as_deref() == Some(name)).unwrap();
        let numbers: Vec<f64> = elements(&row.content, "data").iter().filter_map(value).collect();
        let mut expected = Vec::new();
        if !stage["start"].is_null() {
            let cpu = stage["user"].as_f64().unwrap() + stage["system"].as_f64().unwrap();
            let all = [stage["duration"].as_f64().unwrap(), cpu, stage["peak-memory"].as_f64().unwrap()];
            // What is nothing is not shown.
            expected.extend(
                all.into_iter().enumerate().filter(|(i, value)| *i == 0 || *value > 0.0).map(|(_, value)| value),
            );
        }
        assert_eq!(numbers.len(), expected.len(), "{name}: {numbers:?} {expected:?}");
        numbers.iter().zip(&expected).for_each(|(number, json)| assert_near(Some(*number), Some(*json), name));
        assert!(elements(&page.dom, "div").iter().any(|row| row.attribute("data-stage").as_deref() == Some(name)));
    }
    let output = rows.iter().find(|row| row.attribute("data-output").as_deref() == Some("made.file")).unwrap();
    let size = elements(&output.content, "data").iter().filter_map(value).next();
    assert_near(size, json["stages"][0]["outputs"][0]["bytes"].as_f64(), "size");
}

/// The candidate does half as much in one workload and the same in the other one.
const COMPARED: &str = r#"
[[stage]]
name = "build"
kind = "command"
shell = true
run = "cc -O1 ${pipeline.dir}/program.c -o old; cc -O1 -DHALF ${pipeline.dir}/program.c -o new"
outputs = { old = "${self.build}/old", new = "${self.build}/new" }

[[stage]]
name = "compare"
kind = "compare"
base = "${build.old}"
candidate = "${build.new}"
rounds = 6
budget = "9h"
sizes = { source = { base = "${pipeline.dir}/program.c", candidate = "${pipeline.dir}/program.c" } }
[[stage.workloads]]
name = "half <b>"
run = ["{program}", "4000000", "x"]
[[stage.workloads]]
name = "equal"
run = ["{program}", "4000000"]
"#;

const PROGRAM: &str = "
#include <stdlib.h>
int main(int argc, char **argv) {
    volatile unsigned long count = strtoul(argv[1], 0, 10);
#ifdef HALF
    if (argc > 2) count /= 2;
#endif
    while (count) count--;
    return 0;
}
";

#[test]
fn its_comparisons_are_those_of_the_json() {
    if !needs::instruction_counts() {
        return;
    }
    let Some(browser) = Browser::find() else { return };
    let test = Test::new([COMPARED]).file("program.c", PROGRAM);
    let _ = test.run("").ok();
    let (json, _) = pages(&test);
    let page = browser.open(&test.path("page.html"), &[]);
    assert_eq!(page.console, Vec::<String>::new());
    let result = &json["comparisons"][0]["result"];
    let cards = elements(&page.dom, "div");
    let card = cards.iter().find(|card| card.attribute("data-comparison").as_deref() == Some("compare")).unwrap();
    let rows = elements(&card.content, "tr");
    let numbers = |row: &Element| -> Vec<f64> {
        elements(&row.content, "data").iter().map(|data| data.attribute("value").unwrap().parse().unwrap()).collect()
    };
    for (workload, name) in [(0, "half &lt;b&gt;"), (1, "equal")] {
        let row = rows.iter().find(|row| row.content.contains(&format!(">{name}</td>"))).unwrap();
        let metrics = result["workloads"][workload]["metrics"].as_array().unwrap();
        let median = |metric: &Value, side: &str| metric[side]["median"].as_f64().unwrap();
        let cell = |metric: &Value| -> Vec<f64> {
            let change = metric["change"].as_f64().filter(|_| metric["verdict"] != "no-change");
            change.into_iter().chain([median(metric, "base"), median(metric, "candidate")]).collect()
        };
        let changes: Vec<f64> = metrics.iter().flat_map(cell).collect();
        assert_eq!(numbers(row), changes, "{name}: {metrics:#?}");
        // Nothing is told by the pointer alone.
        assert!(!card.content.contains("title="), "{}", card.content);
        // Below, a row for each metric, with the interval of both medians where there is one.
        let bodies = elements(&card.content, "tbody");
        let body = bodies.iter().find(|body| body.content.contains(&format!(">{name}</th>"))).unwrap();
        let below: Vec<Element> =
            elements(&body.content, "tr").into_iter().filter(|row| row.attribute("data-metric").is_some()).collect();
        assert_eq!(below.len(), metrics.len());
        for (metric, row) in metrics.iter().zip(&below) {
            assert_eq!(row.attribute("data-metric").as_deref(), metric["metric"].as_str());
            assert_eq!(numbers(row)[..2], [median(metric, "base"), median(metric, "candidate")]);
            let intervals = ["base", "candidate"].iter().filter(|side| !metric[**side]["interval"].is_null()).count();
            assert_eq!(elements(&row.content, "span").iter().filter(|s| s.content.contains(" – ")).count(), intervals);
            assert_eq!(row.content.matches(" ×").count(), 2);
        }
        assert_eq!(elements(&row.content, "td").len(), 1 + metrics.len());
        let instructions = &metrics[0];
        assert_eq!(instructions["metric"], "instructions");
        if workload == 0 {
            // Starting and ending takes a part of both.
            assert!((-0.505..-0.48).contains(&changes[0]), "{instructions:#}");
        } else {
            assert_eq!(instructions["verdict"], "no-change");
            assert!(elements(&row.content, "td")[1].content.contains("no change"));
        }
    }
    let mean = result["summary"][0]["mean"].as_f64().unwrap();
    let row = rows.iter().find(|row| row.attribute("class").as_deref() == Some("key")).unwrap();
    assert!(row.content.contains(&format!(">{:+.1} %</td>", mean * 100.0)), "{mean}: {}", row.content);
    let paragraphs = elements(&card.content, "p");
    let spent = paragraphs.iter().find(|p| p.content.starts_with("Budget: ")).unwrap();
    let budget = &result["budget"];
    let seconds = ["allowed", "planned", "used"].map(|name| budget[name].as_f64().unwrap());
    assert_eq!((numbers(spent).as_slice(), seconds[0]), (seconds.as_slice(), 9.0 * 3600.0));
    let size = rows.iter().find(|row| row.content.contains(">source</td>")).unwrap();
    let bytes = PROGRAM.len() as f64;
    assert_eq!(numbers(size), [bytes, bytes, 0.0]);
}

/// Sums may differ in the last digit, and so may what is read of one.
fn assert_near(number: Option<f64>, json: Option<f64>, of: &str) {
    let (Some(number), Some(json)) = (number, json) else { panic!("{of}: {number:?}, {json:?}") };
    assert!((number - json).abs() <= 1e-9 * json.abs(), "{of}: {number}, {json}");
}

#[test]
fn nothing_of_a_log_or_a_name_becomes_markup() {
    let Some(browser) = Browser::find() else { return };
    let test = hostile();
    let _ = test.run("").code(1);
    let (_, html) = pages(&test);
    // The page in a frame, that a script outside of it can look at.
    let frame = html.replace('&', "&amp;").replace('"', "&quot;");
    let look = "onload = () => { const d = document.getElementById('f').contentDocument; \
        const count = (what) => d.querySelectorAll(what).length; \
        document.body.dataset.counts = [count('script'), count('img'), count('b b'), count('u'), count('table.shown tr')].join(' '); \
        document.body.dataset.json = typeof JSON.parse(d.getElementById('report').textContent).run; \
        document.body.dataset.width = d.documentElement.scrollWidth; \
        document.body.dataset.back = d.defaultView.getComputedStyle(d.body).backgroundColor; \
        document.body.dataset.tail = d.querySelector('.failure pre').textContent.split('\\n').length; \
        document.body.dataset.title = d.title; };";
    let outer = format!(
        "<!DOCTYPE html><body><iframe id=f style='width:360px;height:700px;border:0' srcdoc=\"{frame}\"></iframe><script>{look}</script>"
    );
    test.write("outer.html", &outer);
    let mut backs = Vec::new();
    for dark in [false, true] {
        let options: &[&str] = if dark { &["--blink-settings=preferredColorScheme=0"] } else { &[] };
        let page = browser.open(&test.path("outer.html"), options);
        assert_eq!(page.console, Vec::<String>::new());
        let body = elements(&page.dom, "body").remove(0);
        let seen = |name: &str| body.attribute(&format!("data-{name}")).unwrap_or_default();
        // The data and the script; no picture; no bold in bold; a table of two rows.
        assert_eq!(seen("counts"), "2 0 0 0 2");
        assert_eq!(seen("json"), "object");
        assert_eq!(seen("tail"), "3", "the three lines of the log");
        assert_eq!(seen("title"), "p: failed · optbuild");
        // As wide as the phone: nothing sticks out.
        assert!(seen("width").parse::<u32>().unwrap() <= 360, "{}", seen("width"));
        backs.push(seen("back"));
    }
    assert_ne!(backs[0], backs[1], "light and dark");
}

#[test]
fn an_error_on_the_console_would_be_seen() {
    let Some(browser) = Browser::find() else { return };
    let test = Test::new([""]).file("bad.html", "<!DOCTYPE html><script>console.error('seen')</script><p>x</p>");
    let page = browser.open(&test.path("bad.html"), &[]);
    assert!(page.console.iter().any(|line| line.contains("seen")), "{:?}", page.console);
}
