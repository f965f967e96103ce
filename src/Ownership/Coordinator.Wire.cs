namespace OrleansCache.Ownership;

// What the silos write to each other (docs/decisions/0023-wire-versions.md).
public sealed partial class Coordinator
{
    /// <summary>What the table says that silos write to each other.</summary>
    private byte _wireVersion = WireVersion.Oldest;

    /// <summary>
    /// The silos' tables say what they write now; none says more than all members spoke when it was made, but silos may have joined since that speak less.
    /// Where nobody has a table, nobody writes anything yet.
    /// </summary>
    private void TakeOverWireVersion()
    {
        bool isNewLife = IsNewLife();
        byte written = isNewLife ? byte.MaxValue : _members.Values.Max(static member => member.Reply!.TableWireVersion);
        _wireVersion = Math.Max(WireVersion.Oldest, Math.Min(written, _members.Values.Min(static member => member.Reply!.Speaks)));

        // It falls with the first silo of a rollback, whose joining the former coordinator may not have lived to see.
        if (!isNewLife && _wireVersion < written)
            environment.OnEvent(CoordinatorEvent.WireVersionAgreed, _wireVersion, self);
    }

    /// <summary>
    /// The newest version that all members speak. It falls as soon as one is there that speaks less, which gets nothing before all have heard of it. It rises
    /// when all have said what they speak, and none takes a silo for a member any more that speaks less. Returns whether it has changed.
    /// </summary>
    private bool AgreeOnWireVersion()
    {
        byte least = byte.MaxValue;
        bool mayRise = true;
        foreach (Member member in _members.Values)
        {
            least = Math.Min(least, member.Reply?.Speaks ?? least);
            mayRise &= member.Reply?.MembershipVersion >= _lossVersion;
        }

        least = Math.Max(least, WireVersion.Oldest);
        if (least == _wireVersion || (least > _wireVersion && !mayRise))
            return false;
        _wireVersion = least;
        environment.OnEvent(CoordinatorEvent.WireVersionAgreed, least, self);
        return true;
    }

    /// <summary>
    /// Whether no member has a table, or is about to get one, by which it would write this silo something that it does not speak. Once that is so it remains
    /// so, because no later table says more than all members speak.
    /// </summary>
    private bool ReadsWhatIsWritten(Member reader)
    {
        byte speaks = reader.Reply!.Speaks;
        return _wireVersion <= speaks && _members.Values.All(writer => writer.WritesAtMost <= speaks);
    }
}
