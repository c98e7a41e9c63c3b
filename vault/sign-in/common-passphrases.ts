/**
 * Passphrases of fifteen characters and more that many people choose: sayings, songs, famous examples, and the short
 * favourites doubled. Written without blanks and in small letters.
 */
const list = `
correcthorsebatterystaple correcthorsebatterystaples correcthorsebattery passwordpassword passwordpasswordpassword
password123456789 password12345678 ipasswordpassword mypasswordispassword mypasswordissecret thisismypassword
thisismypassphrase thisisapassword thisisasecret thisisaverylongpassword averylongpassword averylongpassphrase
mysecretpassword mysupersecretpassword supersecretpassword supersecretpassphrase verysecretpassword secretpassword
secretpassword123 changemechangeme changemeplease pleasechangeme pleasechangethis changethispassword
changeme1234567 letmeinletmein letmeinletmeinletmein letmeinplease pleaseletmein administrator administratoradministrator
adminadminadmin adminadminadminadmin administrator123 adminpassword administratorpassword rootrootrootroot toortoortoortoor
welcomewelcome welcometothejungle welcome123welcome123 welcomehome iloveyouiloveyou iloveyouforever iloveyousomuch
iloveyoubaby iloveyoualways iloveyouverymuch iloveyoumore ilovemyfamily ilovemychildren ilovemyhusband ilovemywife
ilovemymother ilovemydaughter ilovemydog ilovejesuschrist jesusismysavior jesusislord jesuslovesme godislovegodislove
inthebeginning inthebeginninggod inthebeginningwastheword thelordismyshepherd ourfatherwhoartinheaven ourfatherinheaven
tobeornottobe tobeornottobethatisthequestion thatisthequestion maytheforcebewithyou maytheforce imyourfather
lukeiamyourfather iamyourfather hastalavistababy houstonwehaveaproblem illbeback thereisnoplacelikehome
theresnoplacelikehome winteriscoming youknownothingjonsnow youshallnotpass oneringtorulethemall myprecious
onceuponatime happilyeverafter thequickbrownfox thequickbrownfoxjumps thequickbrownfoxjumpsoverthelazydog
thequickbrownfoxjumpedoverthelazydog loremipsumdolor loremipsumdolorsitamet twinkletwinklelittlestar maryhadalittlelamb
rowrowrowyourboat jackandjillwentupthehill happybirthday happybirthdaytoyou merrychristmas happynewyear
helloworldhelloworld helloworld hellohellohello goodmorning goodmorningvietnam goodmorningsunshine
letitbeletitbe heyjudedontmakeitbad stairwaytoheaven bohemianrhapsody wewillrockyou wearethechampions
nevergonnagiveyouup nevergonnagiveyouupnevergonnaletyoudown dontstopbelieving dontworrybehappy hakunamatata
carpediemcarpediem carpediem allyouneedislove imagineallthepeople livelaughlove liveandletlive livelongandprosper
godsavethequeen godsavetheking godblessamerica americathebeautiful landofthefree manchesterunited manchesterunitedfc
liverpoolfootballclub youllneverwalkalone realmadridrealmadrid barcelonabarcelona dallascowboys
qwertyuiop qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm qwertyqwertyqwerty qwerty123456789 qazwsxedcrfvtgb
qazwsxedcrfvtgbyhnujm 1qaz2wsx3edc4rfv zaq1xsw2cde3vfr4 zxcvbnmasdfghjkl asdfghjklqwertyuiop asdfasdfasdfasdf
asdfghjklasdfghjkl abcdefghijklmno abcdefghijklmnopqrstuvwxyz abcabcabcabcabc 123456789012345 1234567890123456789
123456789123456789 9876543210123456 monkeymonkeymonkey dragondragondragon sunshinesunshine princessprincess
footballfootball baseballbaseball superstarsuperstar supermansupermansuperman batmanbatmanbatman starwarsstarwars
pokemonpokemonpokemon mustangmustang shadowshadowshadow mastermastermaster trustnooneatall trustno1trustno1
secretsecretsecret testtesttesttest testtesttest testingtesting testpassword temppassword temporarypassword
defaultpassword defaultdefault guestguestguest useruseruser useruseruseruser companypassword winterwinterwinter
summersummersummer springspringspring autumnautumnautumn januaryfebruary mondaytuesdaywednesday
onetwothreefourfive onetwothreefour onetwothreefourfivesix ichliebedich ichliebedichsosehr passwortpasswort
meinpasswort meinpasswortistgeheim motdepassemotdepasse monmotdepasse contrasenacontrasena micontrasena
teamoteamoteamo tequieromucho jetaimejetaimejetaime
`

export const commonPassphrases: readonly string[] = list.split(/\s+/).filter(Boolean)

/** Words a passphrase may have in it but not consist of. */
export const commonWords: readonly string[] = [
  ...['password', 'passphrase', 'passwort', 'secret', 'welcome', 'administrator', 'admin', 'letmein', 'changeme'],
  ...[
    'qwerty',
    'iloveyou',
    'login',
    'master',
    'default',
    'temporary',
    'please',
    'summer',
    'winter',
    'spring',
    'autumn',
  ],
  ...[
    'monkey',
    'dragon',
    'football',
    'baseball',
    'sunshine',
    'princess',
    'company',
    'server',
    'access',
    'root',
    'test',
  ],
  ...['guest', 'user', '123456789', '12345678', '1234567', '123456', '12345', '1234', '123', '2024', '2025', '2026'],
]
