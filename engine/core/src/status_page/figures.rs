//! Drawings: a bar for a share, and a sparkline for durations over time. The numbers stand beside them as text.

use super::html::Html;
use super::shown;

/// Size of a sparkline in the units of its drawing.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;
/// Space at the border, so that the line is not cut off.
const MARGIN: f64 = 2.0;

/// A bar that is filled to `percent`.
pub(super) fn bar(html: &mut Html, percent: u64, what: &str) {
    let percent = percent.min(100);
    html.raw("<svg class=\"bar\" role=\"img\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\"><title>");
    html.text(&format!("{what}: {percent} percent")).raw("</title><rect width=\"100\" height=\"4\"/>");
    html.raw("<rect class=\"fill\" height=\"4\" width=\"").text(&percent.to_string()).raw("\"/></svg>");
}

/// A line through the means of time slices of `slice_s` seconds. A slice without a value is a gap.
pub(super) fn sparkline(html: &mut Html, means: &[Option<f64>], slice_s: u64) {
    let found = || means.iter().flatten().copied();
    let (low, high) = (found().fold(f64::INFINITY, f64::min), found().fold(0.0, f64::max));
    let Some(last) = found().last() else {
        html.text("none");
        return;
    };
    let [low_shown, high_shown, last_shown] = [low, high, last].map(shown::seconds);
    html.raw("<svg class=\"spark\" role=\"img\" viewBox=\"0 0 120 24\"><title>");
    html.text(&format!(
        "Mean of each {slice_s} seconds: lowest {low_shown}, highest {high_shown}, last {last_shown}"
    ));
    html.raw("</title><path d=\"").text(&path(means, high)).raw("\"/></svg> <small>highest ");
    html.text(&high_shown).raw("</small>");
}

/// The line, from 0 at the lower border to `high` at the upper one.
fn path(means: &[Option<f64>], high: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen slices")]
    let step = (WIDTH - 2.0 * MARGIN) / (means.len().max(2) - 1) as f64;
    let (mut drawn, mut x, mut is_open) = (String::new(), MARGIN, false);
    for mean in means {
        if let Some(mean) = mean {
            // Divided first: the quotient is between 0 and 1, also if both are 0.
            let share = mean / high.max(f64::MIN_POSITIVE);
            let y = HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN);
            // A line of no length: its round ends show a slice between two gaps as a dot.
            let (command, dot) = if is_open { ('L', "") } else { ('M', "h0") };
            drawn.push_str(&format!("{command}{x:.1} {y:.1}{dot}"));
        }
        is_open = mean.is_some();
        x += step;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_has_its_numbers_and_gaps() {
        let mut html = Html::default();
        sparkline(&mut html, &[Some(0.002), Some(0.001), None, Some(0.004), None], 10);
        let drawn = html.finish();
        assert!(drawn.contains("Mean of each 10 seconds: lowest 1.00 ms, highest 4.00 ms, last 4.00 ms"));
        assert!(drawn.contains("d=\"M2.0 12.0h0L31.0 17.0M89.0 2.0h0\""), "{drawn}");
        for none in [&[][..], &[None, None]] {
            let mut html = Html::default();
            sparkline(&mut html, none, 10);
            assert_eq!(html.finish(), "none");
        }
        // A duration of zero divides nothing by zero.
        assert_eq!(path(&[Some(0.0)], 0.0), "M2.0 22.0h0");
    }

    #[test]
    fn a_bar_is_never_longer_than_its_frame() {
        let mut html = Html::default();
        bar(&mut html, 250, "<used>");
        let drawn = html.finish();
        assert!(
            drawn.contains("&lt;used&gt;: 100 percent") && drawn.contains("width=\"100\"/></svg>"),
            "{drawn}"
        );
    }
}
