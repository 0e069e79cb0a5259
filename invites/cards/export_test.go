package cards

// Breaker tells whether letting in at once is paused for a knock, and whether the knock is the first one.
var Breaker = (*Knocks).breaker
