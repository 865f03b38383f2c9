"""Seeds that once violated an invariant, for the suite to run for ever; beside each what it had found.

A seed is that execution only while daemon and simulation take the same steps and draw the same chances;
later it is one execution more. What is to be found for ever belongs among the planted bugs (`bugs`). Who
wants to know takes the mended line back in a copy of the code, and looks for a seed that finds it again.
"""

SEEDS: tuple[int, ...] = (
    11,  # the process ended because a full disk did not take the record of its start
    15,  # the decisions of one batch were committed in any order: a close came before what it cancels
    23,  # an entry's third stop got the second one's name, and so was never made
    67,  # an entry filled on after its stop had filled: the rest was without a stop
    291,  # the same, the stop's fill first
    413,  # sales of a spot account passed the limit, for the stops beside them were not counted
    438,  # an order whose task had just ended was taken for abandoned, and looked up a second time
    1143,  # a stop that was canceled before it was sent was taken for one that the exchange had ended
    1274,  # a sale that was canceled before it was sent had taken the stop with it for good
    1650,  # the same, with a take profit
    2,  # of two closes the later one was released, and waited for the earlier one for ever
)
"""Found before there were wide worlds (see `World`), and run without them."""

WIDE_SEEDS: tuple[int, ...] = (
    19,  # an entry that was planned before a halt was sent after it
    31449,  # two entries made at once took each other's stop in turns, for ever
    66481,  # a sale that rests at its price left a contract without a part of its stop
    75227,  # the same, of a short position and a stop order
    21793,  # a stop that gave way to a sale had no successor, for another stop had its name
    600005,  # a close was measured while the late fill of a stop was written down, and refused for that
    84729,  # a canceled order's fill showed late, when its place under the limit was taken already
)
