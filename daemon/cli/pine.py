"""A Pine script that fires fks's native alert: what `fks template --pine` prints."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fks.domain.settings import Settings

# Pine's alert() fills in no placeholders, so the script does; %...% stands for what it fills in. The id
# makes each bar's signal one alert, whatever is sent again.
_SCRIPT = """\
//@version=6
indicator("fks: two averages", overlay = true)

// Your signals: replace these lines.
float fast = ta.ema(close, input.int(12, "Fast average"))
float slow = ta.ema(close, input.int(26, "Slow average"))
bool  goLong  = ta.crossover(fast, slow)
bool  goFlat  = ta.crossunder(fast, slow)

// What fks does with them. 0 leaves it out; without a size, [sizing] decides.
float sizePercent   = input.float(5.0, "Size, % of the equity", minval = 0)
float stopPercent   = input.float(2.0, "Stop loss, % from the entry", minval = 0)
float profitPercent = input.float(4.0, "Take profit, % from the entry", minval = 0)

string MESSAGE = '@MESSAGE@'

// One field of the message, or nothing when its value is 0.
field(string name, float value) =>
    value > 0 ? ', "' + name + '": ' + str.tostring(value) : ""

target(string name, float percent) =>
    percent > 0 ? ', "' + name + '": {"percent": ' + str.tostring(percent) + '}' : ""

send(string action, string more) =>
    string message = str.replace_all(MESSAGE, "%symbol%", syminfo.ticker)
    message := str.replace_all(message, "%action%", action)
    string bar = syminfo.ticker + " " + timeframe.period + " " + str.tostring(time)
    message := str.replace_all(message, "%id%", bar + " " + action)
    string moment = str.format_time(timenow, "yyyy-MM-dd'T'HH:mm:ss'Z'", "UTC")
    message := str.replace_all(message, "%time%", moment)
    message := str.replace_all(message, "%price%", str.tostring(close))
    alert(message + more + '}', alert.freq_once_per_bar_close)

string protection = target("stop_loss", stopPercent) + target("take_profit", profitPercent)
if goLong
    send("buy", field("percent", sizePercent) + protection)
if goFlat
    send("close", "")

plot(fast, "Fast", color.teal)
plot(slow, "Slow", color.orange)
plotshape(goLong, "Buy", shape.triangleup, location.belowbar, color.teal)
plotshape(goFlat, "Close", shape.triangledown, location.abovebar, color.orange)
"""


def script(settings: "Settings", secret: str) -> str:
    """The script with this configuration's account and secret."""
    confidence = {"confidence": 1} if settings.webhook.min_confidence > 0 else {}
    message = {
        "secret": secret, "exchange": settings.default_exchange, "symbol": "%symbol%", "action": "%action%",
        "id": "%id%", "timestamp": "%time%", "price": "%price%", **confidence,
    }  # fmt: skip
    begun = json.dumps(message).removesuffix("}")
    return _SCRIPT.replace("@MESSAGE@", begun.replace("\\", "\\\\").replace("'", "\\'"))
