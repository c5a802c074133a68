use super::*;

fn us() -> DialPlan {
    let site = Site {
        country: "US".into(),
        country_code: "1".into(),
        national_prefix: "1".into(),
        international_prefixes: vec!["011".into()],
        national_lengths: vec![10],
        local_prefix: "210".into(),
        local_lengths: vec![7],
        extension_lengths: vec![4],
        own_ranges: vec!["+12105550000-+12105559999".parse().unwrap()],
    };
    DialPlan::compile(&site, &["911".into(), "112".into(), "+12105559110".into()]).unwrap()
}

fn gb() -> DialPlan {
    let site = Site {
        country_code: "44".into(),
        national_prefix: "0".into(),
        international_prefixes: vec!["00".into()],
        national_lengths: vec![9, 10],
        ..Site::default()
    };
    DialPlan::compile(&site, &[]).unwrap()
}

#[track_caller]
fn check(plan: &DialPlan, text: &str, digits: u64, class: NumberClass) {
    let party = plan.normalise(text.as_bytes());
    assert_eq!((party.digits(), party.class), (digits, class), "{text}");
}

#[test]
fn makes_every_way_of_dialling_the_same_number() {
    let plan = us();
    for text in [
        "+12105550123",
        "12105550123",
        "2105550123",
        "5550123",
        "01112105550123",
        "+1 (210) 555-0123",
        "sip:+12105550123@sbc.example;user=phone",
        "sip:2105550123@sbc.example",
        "sips:%2B12105550123@sbc.example",
        "tel:+1-210-555-0123",
        "tel:5550123;phone-context=+1210",
        "sip:+12105550123;verstat=TN-Validation-Passed@sbc.example",
    ] {
        check(&plan, text, 12_105_550_123, NumberClass::Number);
    }
}

#[test]
fn knows_other_countries_and_their_plans() {
    check(
        &us(),
        "011442079460000",
        442_079_460_000,
        NumberClass::Number,
    );
    check(&us(), "442079460000", 442_079_460_000, NumberClass::Number);
    check(&gb(), "02079460000", 442_079_460_000, NumberClass::Number);
    check(&gb(), "2079460000", 442_079_460_000, NumberClass::Number);
    check(&gb(), "442079460000", 442_079_460_000, NumberClass::Number);
    check(&gb(), "0012105550123", 12_105_550_123, NumberClass::Number);
}

#[test]
fn classes_what_is_no_full_number() {
    let plan = us();
    for (text, class) in [
        ("", NumberClass::Absent),
        ("sip:pbx.example", NumberClass::Absent),
        ("anonymous", NumberClass::Anonymous),
        ("sip:Anonymous@anonymous.invalid", NumberClass::Anonymous),
        ("sip:restricted@sbc.example", NumberClass::Anonymous),
        ("sip:1001@pbx", NumberClass::Extension),
        ("411", NumberClass::ShortCode),
        ("911", NumberClass::Emergency),
        ("+911", NumberClass::Emergency),
        ("1911", NumberClass::Emergency),
        ("sip:alice@pbx", NumberClass::Invalid),
        ("+12", NumberClass::Invalid),
        ("1234567890123456", NumberClass::Invalid),
        ("+", NumberClass::Invalid),
        ("%4", NumberClass::Invalid),
        ("011", NumberClass::Invalid),
    ] {
        check(&plan, text, 0, class);
    }
    check(
        &plan,
        "+12105559110",
        12_105_559_110,
        NumberClass::Emergency,
    );
}

#[test]
fn tells_direction_from_own_ranges() {
    let plan = us();
    for (source, destination, direction) in [
        ("+12105550001", "+19005550100", Direction::Outbound),
        ("1001", "+19005550100", Direction::Outbound),
        ("+12105550001", "911", Direction::Outbound),
        ("+442079460000", "+12105550001", Direction::Inbound),
        ("anonymous", "+12105550001", Direction::Inbound),
        ("", "+12105550001", Direction::Inbound),
        ("+12105550001", "1001", Direction::Internal),
        ("+442079460000", "+442079460001", Direction::Transit),
        ("", "+442079460001", Direction::Unknown),
        ("+12105550001", "alice", Direction::Unknown),
    ] {
        let (from, to) = (
            plan.normalise(source.as_bytes()),
            plan.normalise(destination.as_bytes()),
        );
        assert_eq!(
            plan.direction(&from, &to),
            direction,
            "{source} {destination}"
        );
    }
    let (from, to) = (
        gb().normalise(b"+442079460000"),
        gb().normalise(b"+442079460001"),
    );
    assert_eq!(
        gb().direction(&from, &to),
        Direction::Unknown,
        "no own ranges, no direction"
    );
}

#[test]
fn a_fault_names_its_field() {
    let fault = |change: fn(&mut Site)| {
        let mut site = Site {
            country_code: "1".into(),
            ..Site::default()
        };
        change(&mut site);
        DialPlan::compile(&site, &[]).unwrap_err().to_string()
    };
    assert!(fault(|site| site.country_code = String::new()).starts_with("site.country_code: "));
    assert!(
        fault(|site| site.international_prefixes = vec!["+".into()])
            .starts_with("site.international_prefixes[0]: ")
    );
    assert!(
        fault(|site| site.national_lengths = vec![10, 16])
            .starts_with("site.national_lengths[1]: ")
    );
    let site = Site {
        country_code: "1".into(),
        ..Site::default()
    };
    assert!(
        DialPlan::compile(&site, &["nine".into()])
            .unwrap_err()
            .to_string()
            .starts_with("protected[0]: ")
    );
}

proptest::proptest! {
    #[test]
    fn never_panics_and_a_number_is_a_fixed_point(text in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let plan = us();
        if let Some(number) = plan.normalise(&text).number {
            proptest::prop_assert_eq!(plan.normalise(number.to_string().as_bytes()).number, Some(number));
        }
    }

    #[test]
    fn digit_strings_normalise_to_themselves(text in "(sip:|tel:)?[+]?[0-9]{0,18}(@h)?") {
        let plan = us();
        let party = plan.normalise(text.as_bytes());
        if let Some(number) = party.number {
            proptest::prop_assert_eq!(plan.normalise(number.to_string().as_bytes()), party);
        }
    }
}

#[test]
fn rfc6116_3_2_an_enum_name_holds_a_whole_number() {
    for (digits, number, class) in [
        ("6561234567", 6_561_234_567, NumberClass::Number),
        ("12105550123", 12_105_550_123, NumberClass::Number),
        ("2105550123", 2_105_550_123, NumberClass::Number),
        ("911", 0, NumberClass::Emergency),
        ("1911", 0, NumberClass::Emergency),
        ("1001", 0, NumberClass::Extension),
        ("01112105550123", 12_105_550_123, NumberClass::Number),
    ] {
        let party = us().normalise_enum_name(digits.as_bytes());
        assert_eq!((party.digits(), party.class), (number, class), "{digits}");
    }
}

#[test]
fn says_by_which_rule_it_read_a_number() {
    let plan = us();
    for (text, reading) in [
        ("", Reading::Absent),
        ("sip:anonymous@anonymous.invalid", Reading::Withheld),
        ("alice", Reading::NotDigits),
        ("911", Reading::Protected),
        ("+911", Reading::Protected),
        ("+442079460101", Reading::Global),
        ("tel:5550123;phone-context=+1210", Reading::Global),
        ("011442079460101", Reading::InternationalPrefix),
        ("12105550123", Reading::NationalPrefix),
        ("4711", Reading::Extension),
        ("2105550123", Reading::National),
        ("5550123", Reading::Local),
        ("211", Reading::ShortCode),
        ("442079460101", Reading::Whole),
    ] {
        assert_eq!(plan.read(text.as_bytes()).1, reading, "{text}");
    }
    assert_eq!(gb().read(b"442079460101").1, Reading::CountryCode);
}
