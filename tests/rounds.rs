//! Faults drawn from a seed, for as long as one likes: three nodes, a PostgreSQL and a Redis of their own, load and hooks.
//! The laws are checked after each fault. `make rounds`; the seed that is printed draws the same faults again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tessera_tests::{Dice, Fault, Ground, HEALED, Point, Proxy, Redis, Scene, eventually_async, rows, signal_process};

/// A commit is declared unknown after two seconds, and a lease runs out after three.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    KillLeader,
    KillOther,
    KillAtPoint,
    SleepingLeader,
    RollingRestart,
    KillBackend,
    SleepingBackend,
    KillPostmaster,
    ImmediateShutdown,
    CutCommit,
    LoseAnswers,
    Reset,
    Blackhole,
    KillRedis,
    SleepingRedis,
}

const BLOWS: [Blow; 15] = [
    Blow::KillLeader,
    Blow::KillOther,
    Blow::KillAtPoint,
    Blow::SleepingLeader,
    Blow::RollingRestart,
    Blow::KillBackend,
    Blow::SleepingBackend,
    Blow::KillPostmaster,
    Blow::ImmediateShutdown,
    Blow::CutCommit,
    Blow::LoseAnswers,
    Blow::Reset,
    Blow::Blackhole,
    Blow::KillRedis,
    Blow::SleepingRedis,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "long: make rounds"]
async fn faults_drawn_from_a_seed() {
    let mut dice = Dice::thrown("rounds");
    let minutes = std::env::var("TESSERA_ROUNDS_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(5);
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let mut ring = Ring::start().await;
    let mut seen: BTreeMap<Blow, u32> = BTreeMap::new();
    let (mut acknowledged, mut failed) = (0, 0);
    while Instant::now() < until {
        let blow = dice.pick(&BLOWS);
        let (round, began) = (seen.values().sum::<u32>() + 1, Instant::now());
        eprintln!("round {round}: {blow:?}");
        ring.strike(blow, &mut dice).await;
        ring.scene.load().await.more(100, HEALED).await;
        let tally = ring.scene.assert_laws().await;
        *seen.entry(blow).or_default() += 1;
        acknowledged += tally.acknowledged.len();
        failed += tally.others.values().sum::<u64>();
        eprintln!("round {round}: {:?}, {:?}", began.elapsed(), tally.others);
    }
    assert!(failed > 0, "in all these rounds no call failed: nothing was hit");
    eprintln!("rounds: seed {}, {acknowledged} acknowledged, {failed} calls failed, {seen:?}", dice.seed);
}

/// What is struck.
struct Ring {
    redis: Redis,
    scene: Scene<'static>,
    ground: &'static Ground,
}

impl Ring {
    async fn start() -> Self {
        // For the rest of the process: it ends with it.
        let ground: &Ground = Box::leak(Box::new(Ground::own("rounds")));
        let redis = Redis::start();
        let mut scene = Scene::start(ground.database(), 3, &[("REDIS_URL", &redis.url())]).await;
        scene.patient = true;
        Self { redis, scene, ground }
    }

    async fn strike(&mut self, blow: Blow, dice: &mut Dice) {
        self.scene.load().await;
        let leader = self.scene.leader().await;
        dice.moment(Duration::from_millis(500)).await;
        match blow {
            Blow::KillLeader => self.kill(leader),
            Blow::KillOther => self.kill((leader + 1) % self.scene.nodes.len()),
            Blow::KillAtPoint => self.kill_at(dice).await,
            Blow::SleepingLeader => self.sleep(leader).await,
            Blow::RollingRestart => self.restart_all().await,
            Blow::KillBackend => self.backend(&[Signal::KILL]).await,
            Blow::SleepingBackend => self.backend(&[Signal::STOP, Signal::CONT]).await,
            Blow::KillPostmaster => self.server(Signal::KILL).await,
            Blow::ImmediateShutdown => self.server(Signal::QUIT).await,
            Blow::CutCommit => self.cut(dice).await,
            Blow::LoseAnswers => self.proxy(leader, Fault::LoseAnswers).await,
            Blow::Reset => self.proxy(leader, Fault::Reset).await,
            Blow::Blackhole => self.proxy(leader, Fault::Blackhole).await,
            Blow::KillRedis => self.redis.kill_and_restart(),
            Blow::SleepingRedis => self.sleeping_redis().await,
        }
    }

    /// Lets a fault last until a call has failed of it, or long enough for one: the nodes hide from callers what they can.
    async fn lasts(&mut self, before: u64) {
        _ = tokio::time::timeout(LONG_ENOUGH, self.scene.noticed(before)).await;
    }

    fn kill(&mut self, at: usize) {
        self.scene.kill(at);
        self.scene.add();
    }

    async fn kill_at(&mut self, dice: &mut Dice) {
        let points = [&Point::LEADING[..], &Point::SEALING].concat();
        let (point, passes) = (dice.pick(&points), u32::try_from(dice.below(20)).unwrap());
        let at = self.struck(point, |proxy| proxy.kill_at(point, passes)).await;
        let status = self.scene.part(at).node.wait_until_ended();
        assert!(!status.success(), "{status}");
        self.scene.add();
    }

    /// Has whichever node leads, now or in a moment, struck at a point, and says which it was.
    async fn struck(&self, point: Point, arm: impl Fn(&Proxy)) -> usize {
        let strikes = || self.scene.nodes.iter().map(|member| member.proxy.struck(point));
        let before: Vec<u64> = strikes().collect();
        self.scene.nodes.iter().for_each(|member| arm(&member.proxy));
        let is_struck = async || strikes().zip(&before).position(|(now, before)| now > *before);
        let at = eventually_async("a node comes to the point", HEALED, is_struck).await;
        self.scene.nodes.iter().for_each(|member| member.proxy.spare());
        at
    }

    async fn sleep(&mut self, leader: usize) {
        self.scene.nodes[leader].node.signal(Signal::STOP);
        self.scene.leader_but(Some(leader)).await;
        self.scene.load().await.more(50, HEALED).await;
        self.scene.nodes[leader].node.signal(Signal::CONT);
    }

    async fn restart_all(&mut self) {
        for _ in 0..self.scene.nodes.len() {
            let mut going = self.scene.part(0);
            going.node.signal(Signal::TERM);
            assert!(going.node.wait_until_ended().success(), "{}", going.node.log());
            self.scene.add();
            self.scene.load().await.more(20, HEALED).await;
        }
    }

    async fn backend(&mut self, signals: &[Signal]) {
        let found = rows(&self.scene.db.super_url(), "SELECT session_pids[1] AS pid FROM journal.lease");
        let pid = found[0][0].as_ref().unwrap().parse().unwrap();
        for signal in signals {
            let before = self.scene.load().await.failed();
            signal_process(pid, *signal);
            if *signal != Signal::CONT {
                self.lasts(before).await;
            }
        }
    }

    async fn server(&mut self, signal: Signal) {
        let before = self.scene.load().await.failed();
        signal_process(i32::try_from(self.ground.cluster().pid()).unwrap(), signal);
        self.lasts(before).await;
        self.ground.cluster().restart().unwrap();
    }

    async fn cut(&mut self, dice: &mut Dice) {
        let passes = u32::try_from(dice.below(20)).unwrap();
        self.struck(Point::PostingCommitted, |proxy| proxy.cut_at(Point::PostingCommitted, passes)).await;
    }

    async fn proxy(&mut self, leader: usize, fault: Fault) {
        let proxy = self.scene.nodes[leader].proxy.clone();
        let (hits, before) = (proxy.hits(), self.scene.load().await.failed());
        proxy.set(fault);
        eventually_async("the fault strikes", HEALED, async || (proxy.hits() >= hits + 4).then_some(())).await;
        self.lasts(before).await;
        proxy.set(Fault::None);
    }

    async fn sleeping_redis(&mut self) {
        self.redis.signal(Signal::STOP);
        self.scene.load().await.more(100, HEALED).await;
        self.redis.signal(Signal::CONT);
    }
}
