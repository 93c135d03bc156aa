//! FreeSWITCH's words for why a channel ended.

use crate::track::DialStatus;

/// The Q.850 number of a cause. FreeSWITCH's own causes have none; what they mean is put into the nearest one. The table is
/// FreeSWITCH's (read in `switch_channel.c`), where the number is above 127 ours.
pub(super) fn q850(cause: &str) -> Option<u16> {
    Some(match cause {
        "UNALLOCATED_NUMBER" | "INVALID_URL" | "DOES_NOT_EXIST_ANYWHERE" => 1,
        "NO_ROUTE_TRANSIT_NET" => 2,
        "NO_ROUTE_DESTINATION" => 3,
        "CHANNEL_UNACCEPTABLE" => 6,
        "CALL_AWARDED_DELIVERED" => 7,
        "NORMAL_CLEARING" | "ORIGINATOR_CANCEL" | "BLIND_TRANSFER" | "ATTENDED_TRANSFER"
        | "MANAGER_REQUEST" => 16,
        "USER_BUSY" | "BUSY_EVERYWHERE" => 17,
        "NO_USER_RESPONSE" => 18,
        "NO_ANSWER" | "ALLOTTED_TIMEOUT" | "PROGRESS_TIMEOUT" | "NO_PICKUP" => 19,
        "SUBSCRIBER_ABSENT" | "USER_NOT_REGISTERED" => 20,
        "CALL_REJECTED" | "DECLINE" | "REJECT_ALL" | "UNWANTED" => 21,
        "NUMBER_CHANGED" => 22,
        "REDIRECTION_TO_NEW_DESTINATION" => 23,
        "EXCHANGE_ROUTING_ERROR" => 25,
        // Another one answered, or took the call: non-selected user clearing.
        "LOSE_RACE" | "PICKED_OFF" => 26,
        "DESTINATION_OUT_OF_ORDER" | "GATEWAY_DOWN" | "INVALID_GATEWAY" | "INVALID_PROFILE" => 27,
        "INVALID_NUMBER_FORMAT" => 28,
        "FACILITY_REJECTED" => 29,
        "NORMAL_UNSPECIFIED" => 31,
        "NORMAL_CIRCUIT_CONGESTION" => 34,
        "NETWORK_OUT_OF_ORDER" => 38,
        "NORMAL_TEMPORARY_FAILURE" | "SYSTEM_SHUTDOWN" | "CRASH" => 41,
        "SWITCH_CONGESTION" => 42,
        "REQUESTED_CHAN_UNAVAIL" => 44,
        "FACILITY_NOT_SUBSCRIBED" => 50,
        "OUTGOING_CALL_BARRED" => 52,
        "INCOMING_CALL_BARRED" => 54,
        "BEARERCAPABILITY_NOTAUTH" => 57,
        "BEARERCAPABILITY_NOTAVAIL" => 58,
        "SERVICE_UNAVAILABLE" => 63,
        "FACILITY_NOT_IMPLEMENTED" => 69,
        "SERVICE_NOT_IMPLEMENTED" => 79,
        "INCOMPATIBLE_DESTINATION" | "NOT_ACCEPTABLE" => 88,
        "RECOVERY_ON_TIMER_EXPIRE" => 102,
        "PROTOCOL_ERROR" => 111,
        "INTERWORKING" => 127,
        _ => return None,
    })
}

/// How the dialling of a leg ended that was not answered.
pub(super) fn dial_status(cause: &str) -> DialStatus {
    match q850(cause) {
        Some(17) => DialStatus::Busy,
        Some(18 | 19) => DialStatus::NoAnswer,
        Some(21) => DialStatus::Rejected,
        Some(23) => DialStatus::Forwarded,
        // Who dialled gave up, or another one answered.
        Some(16 | 26) => DialStatus::Cancel,
        _ => DialStatus::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes() {
        for (cause, number, status) in [
            ("USER_BUSY", Some(17), DialStatus::Busy),
            ("NO_ANSWER", Some(19), DialStatus::NoAnswer),
            ("CALL_REJECTED", Some(21), DialStatus::Rejected),
            ("ORIGINATOR_CANCEL", Some(16), DialStatus::Cancel),
            ("LOSE_RACE", Some(26), DialStatus::Cancel),
            ("PICKED_OFF", Some(26), DialStatus::Cancel),
            ("USER_NOT_REGISTERED", Some(20), DialStatus::Unreachable),
            ("A_CAUSE_OF_LATER_VERSIONS", None, DialStatus::Unreachable),
        ] {
            assert_eq!((q850(cause), dial_status(cause)), (number, status), "{cause}");
        }
    }
}
