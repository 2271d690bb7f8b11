//! Where a process may die between two steps that outlive it. Test builds can stop at each of these points; others know
//! nothing of them.

/// Declares the points, each with what has just happened.
macro_rules! fault_points {
    ($($point:ident: $after:literal;)*) => {
        /// Right after what happened to the store or to the application.
        #[cfg(test)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultPoint {
            $(#[doc = $after] $point,)*
        }

        #[cfg(test)]
        impl FaultPoint {
            /// Every point that there is.
            pub const ALL: &[Self] = &[$(Self::$point,)*];
        }
    };
}

fault_points! {
    // A sign-in that makes an account.
    CreationLeased: "The right to create was taken.";
    CreationIntended: "The intent to create was recorded.";
    AccountCreated: "The application made the account.";
    CaseClaimed: "What an administrator decided was consumed.";
    IdentityLinked: "A further identity became a member's.";
    TeamMade: "The application made a team.";
    AccountCompleted: "The account has all its entitlements.";
    MemberRecorded: "The new member was recorded.";
    AccountRenewed: "The member was recorded with its new account.";
    CreationReleased: "The right to create was given up.";
    // A sign-in that changes an account.
    LoginHeld: "The right to work on the member was taken.";
    LoginFound: "The account was looked up.";
    ReactivationRecorded: "It was recorded that the account is about to be active again.";
    Reactivated: "The application reactivated the account.";
    StayRecorded: "It was recorded that the account stays.";
    LoansRecorded: "What is about to be changed was recorded.";
    EntitlementsChanged: "The application changed entitlements.";
    ChangesRecorded: "What was changed was recorded.";
    ProfileUpdated: "The application changed the profile.";
    LoginRecorded: "The sign-in was recorded.";
    // A sign-in on record (A2).
    CatchUpPut: "The job that catches up was recorded.";
    AdmissionReleased: "The right to work on the member was given up.";
    // The job that catches up.
    CatchUpFound: "The account was looked up by the job that catches up.";
    CatchUpRecorded: "It was recorded that the sign-in was caught up with.";
    AdmittedEnded: "The sessions of a sign-in ended that should not have been.";
    // A job.
    JobClaimed: "A job was claimed.";
    JobHeld: "The right to work on the member was taken for a job.";
    LeavingRecorded: "It was recorded that the account goes.";
    LeaverFound: "The account that goes was looked up.";
    AccountDeactivated: "The application deactivated the account.";
    AccountDeleted: "The application deleted the account.";
    LeftRecorded: "It was recorded that the account went.";
    JobReleased: "The right to work on the member was given up.";
    JobConcluded: "The job's outcome was recorded.";
    // The job that looks after an unfinished creation.
    AbandonedLeased: "The right to create was taken by the job.";
    AbandonedFound: "The abandoned account was looked up.";
    AbandonedDeleted: "The application deleted the abandoned account.";
    AbandonedForgotten: "The intent was forgotten.";
}

/// `fault_point!(core, Point)`: a test may have this process die here.
macro_rules! fault_point {
    ($core:expr, $point:ident) => {
        #[cfg(test)]
        $core.faults.reached($crate::provision::faults::FaultPoint::$point).await;
    };
}
pub(super) use fault_point;

/// Where a test wants processes to die.
#[cfg(test)]
#[derive(Default)]
pub struct Faults {
    state: std::sync::Mutex<FaultState>,
    died: tokio::sync::Notify,
}

#[cfg(test)]
#[derive(Default)]
struct FaultState {
    /// The point, and how many times it is passed first.
    stop_at: Option<(FaultPoint, u32)>,
    dead: bool,
}

#[cfg(test)]
impl Faults {
    /// Dies at `point`, after it was passed `times`.
    #[must_use]
    pub fn dying_at(point: FaultPoint, times: u32) -> Self {
        let state = FaultState { stop_at: Some((point, times)), dead: false };
        Self { state: std::sync::Mutex::new(state), died: tokio::sync::Notify::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, FaultState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The process is dead: it does nothing any more.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Waits for the death.
    pub async fn died(&self) {
        if !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// The dead do not come back because a timer of theirs runs out.
    pub async fn stay_dead(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Goes on, or never.
    pub async fn reached(&self, point: FaultPoint) {
        {
            let mut state = self.state();
            match &mut state.stop_at {
                Some((at, 0)) if *at == point => {
                    state.dead = true;
                    self.died.notify_one();
                }
                Some((at, times)) if *at == point => *times -= 1,
                Some(_) | None => {}
            }
        }
        self.stay_dead().await;
    }
}
